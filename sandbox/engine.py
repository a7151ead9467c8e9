"""The Docker engine of this machine: how it is reached, and what its errors mean for the person in front of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlsbench.sandbox.channel import SandboxError

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT = "unix:///var/run/docker.sock"
SECONDS = 60  # for one answer; an engine that is busy with a large layer takes its time

# What the engine says, and what to do about it; the first match counts. {0} is what the expression's group caught.
MEANINGS = (
    (
        r"could not select device driver",
        "Docker cannot give a GPU to a container: install nvidia-container-toolkit, run "
        "`sudo nvidia-ctk runtime configure --runtime=docker` and restart Docker",
    ),
    (
        r"(nvidia-container-cli: [^\n\"]*|failed to (?:inject|discover)[^\n\"]*(?:CDI|GPU)[^\n\"]*)",
        "the GPU is lost or busy ({0}): see whether `nvidia-smi` works on the host",
    ),
    (
        r"no space left on device",
        "the disk of Docker is full: `docker system df` shows what takes the space, `docker system prune` frees some",
    ),
    (
        r"(?:unknown runtime specified|unknown or invalid runtime name:?|no such runtime:?) *\"?([^\s\")]+)",
        "Docker has no runtime named {0}: see `docker info`, or leave the runtime at its default",
    ),
    (
        r"(?:pull access denied for|manifest for|repository) ([^\s,]+)[^\n]*(?:not exist|not found|unknown)",
        "there is no image {0} to be had: check its name, or name a base that this machine has by "
        "`mlsbench image build --base`",
    ),
    (
        r"(?:Get|Head) \"?https?://([^/\"\s]+)[^\n]*",
        "Docker cannot reach {0}: check the network, or name a base that this machine has by "
        "`mlsbench image build --base`",
    ),
    (r"the command .* returned a non-zero code: (\d+)", "one of its steps ended with status {0}"),
    (r"no such image: ([^\s\")]+)", "Docker has no image {0}; run: mlsbench image build"),
)


class EngineError(SandboxError):
    """The engine cannot be reached or refused something; the message says what mends it."""


def address() -> str:
    """Where the engine listens: DOCKER_HOST, or the socket of the system's engine."""
    return os.environ.get("DOCKER_HOST") or DEFAULT


def connect(seconds: float = SECONDS) -> DockerClient:
    """A client of this machine's engine, whose answers may take `seconds` each. Raises EngineError.

    Trainer, workers and the calling process share folders, so an engine behind TCP or SSH is refused.
    """
    from docker import DockerClient

    if not re.match(r"(unix|tcp|ssh|https?|npipe|fd)://.", address()):
        raise EngineError(
            f"DOCKER_HOST={address()} is no address of an engine: unset it, or set it to unix:// and a socket's path"
        )
    if not address().startswith("unix://"):
        raise EngineError(
            f"the Docker engine at {address()} cannot be used, because its containers would not see this machine's "
            "folders: unset DOCKER_HOST, or set it to unix:// and the path of a socket"
        )
    with explained():
        return DockerClient(base_url=address(), timeout=seconds)


@contextmanager
def explained() -> Iterator[None]:
    """Turns what the SDK raises inside into EngineError."""
    from docker.errors import DockerException
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (DockerException, RequestException, HTTPError, ConnectionError, TimeoutError) as error:
        raise EngineError(explain(error)) from error


def explain(error: BaseException | str) -> str:
    """What an error of the SDK, or a message of the engine, means and what would help, in one sentence."""
    text = error if isinstance(error, str) else _message(error)
    for expression, meaning in MEANINGS:
        if found := re.search(expression, text, re.IGNORECASE):
            return meaning.format(*(group.strip(" .:") for group in found.groups()))
    if isinstance(error, BaseException):
        return _unreachable(error) or f"Docker refused: {' '.join(text.split())}"
    return " ".join(text.split())


def _message(error: BaseException) -> str:
    """The engine's own words without those of HTTP around them, if it said anything."""
    from docker.errors import APIError

    return str(error.explanation) if isinstance(error, APIError) and error.explanation else str(error)


def _unreachable(error: BaseException) -> str | None:
    from docker.errors import APIError

    causes = list(_causes(error))
    if any(isinstance(cause, APIError) for cause in causes):
        return None  # it answered
    if any(isinstance(cause, PermissionError) for cause in causes):
        return (
            f"this user may not use the Docker engine at {address()}: `sudo usermod -aG docker $USER` and a new login "
            "give that right, which is as good as root's; a rootless engine needs no such right"
        )
    if any(isinstance(cause, FileNotFoundError | ConnectionRefusedError | NotADirectoryError) for cause in causes):
        if address() != DEFAULT:
            return f"no Docker engine runs at {address()}: start the one that DOCKER_HOST names, or unset that"
        return (
            f"no Docker engine runs at {address()}: start it (sudo systemctl start docker), or set DOCKER_HOST to "
            "unix:// and the path of its socket"
        )
    if any(isinstance(cause, OSError) or "Timeout" in type(cause).__name__ for cause in causes):
        return f"the Docker engine at {address()} went away or does not answer: see `docker info` and the engine's log"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it came from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
