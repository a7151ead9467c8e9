"""Whoever has no engine, or one that is unwell, is told in one sentence what to do about it."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker.errors import APIError
from requests import Response

from mlsbench.sandbox.engine import EngineError, connect, explain

UNPRIVILEGED = 65534


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket where DOCKER_HOST says that the engine is; nobody answers."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:  # tmp_path may be too long
        os.chmod(folder, 0o755)
        listener.bind(f"{folder}/engine")
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/engine")
        yield listener


def answering(listener: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    """Take one connection, read the request's beginning and `answer`."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            answer(connection)

    listener.listen()
    threading.Thread(target=serve, daemon=True).start()


def refused(code: int, message: str) -> APIError:
    """What the SDK raises when the engine answers so."""
    response = Response()
    response.status_code = code
    return APIError(f"{code} Error for http+docker://localhost/v1.41/containers/0/start", response, message)


def test_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    with pytest.raises(
        EngineError, match=f"^no Docker engine runs at unix://{tmp_path}/none: start the one that DOCKER_HOST names"
    ):
        connect()


def test_a_socket_that_its_engine_left_behind(listening: socket.socket) -> None:
    listening.close()
    with pytest.raises(EngineError, match=r"^no Docker engine runs at .*: start the one that DOCKER_HOST names"):
        connect()


def test_a_socket_of_others(listening: socket.socket) -> None:
    listening.listen()
    os.chmod(listening.getsockname(), 0)
    read, write = os.pipe()
    child = os.fork()  # root may use any socket, so a child without its rights tries
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(UNPRIVILEGED)
            connect()
        except EngineError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1 << 16).startswith(b"this user may not use the Docker engine at unix:///")


@pytest.mark.parametrize("host", ["tcp://localhost:2375", "ssh://user@machine", "npipe:////./pipe/docker_engine"])
def test_an_engine_elsewhere(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EngineError, match="would not see this machine's folders: unset DOCKER_HOST"):
        connect()


def test_an_engine_that_goes_away(listening: socket.socket) -> None:
    answering(listening, lambda connection: None)
    with pytest.raises(EngineError, match=r"^the Docker engine at .* went away"):
        connect()


def test_an_engine_that_goes_away_in_the_middle_of_an_answer(listening: socket.socket) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    answering(listening, lambda connection: connection.sendall(half))
    with pytest.raises(EngineError, match=r"^the Docker engine at .* went away"):
        connect()


def test_an_engine_that_does_not_answer(listening: socket.socket) -> None:
    listening.listen()
    with pytest.raises(EngineError, match="went away or does not answer"):
        connect(seconds=0.1)


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', "install nvidia-container-toolkit"),
        (
            "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create "
            "failed: unable to start container process: error during container init: error running hook #0: error "
            "running hook: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'\nnvidia-container-cli: "
            "initialization error: nvml error: driver not loaded: unknown",
            "(nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown): see whether",
        ),
        (
            "OCI runtime create failed: nvidia-container-cli: device error: 3: unknown device: unknown",
            "the GPU is lost or busy",
        ),
        (
            "failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=0",
            "the GPU is lost or busy",
        ),
        ("write /var/lib/docker/tmp/layer: no space left on device", "`docker system prune`"),
        ("mkdir /var/lib/docker/overlay2/abc: NO SPACE LEFT ON DEVICE", "`docker system prune`"),
        ("Unknown runtime specified nvidia", "Docker has no runtime named nvidia: see `docker info`"),
        ("unknown or invalid runtime name: kata", "Docker has no runtime named kata"),
        ("No such image: mlsbench:0.1.0", "Docker has no image mlsbench:0.1.0; run: mlsbench image build"),
        (
            "pull access denied for nosuch, repository does not exist or may require 'docker login'",
            "there is no image nosuch to be had",
        ),
        ("manifest for debian:nosuch not found: manifest unknown", "there is no image debian:nosuch to be had"),
        (
            'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host',
            "Docker cannot reach registry-1.docker.io: check the network",
        ),
    ],
)  # fmt: skip
def test_what_engines_refuse(message: str, meaning: str) -> None:
    assert meaning in explain(refused(500, message))
    assert meaning in explain(message)


def test_other_refusals_are_in_the_words_of_the_engine() -> None:
    assert explain(refused(409, "Conflict.\nThe name is in use")) == "Docker refused: Conflict. The name is in use"


def test_a_refusal_that_speaks_of_permissions_is_not_about_the_socket() -> None:
    message = "OCI runtime create failed: exec /x: permission denied"
    assert explain(refused(400, message)) == f"Docker refused: {message}"
