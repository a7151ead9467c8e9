"""What every backend offers: start one worker, say how it ended, and end its whole process tree."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from mlsbench.sandbox.channel import BUFFER_BYTES
from mlsbench.sandbox.frames import Contract

# Nothing of the caller's environment; one thread, because two are slower on arrays of this size.
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
# The user's own files stay out; not -I, which would ignore the environment above and with it the fixed hash seed.
PYTHON = ("-s", "-P")
TRIAL = "from mlsbench.sandbox import lock; lock.lock(3, 1 << 30, 1 << 16, 60)"


@dataclass(frozen=True)
class Limits:
    """What one worker may use: seconds are the worker's own, bytes as named."""

    call_seconds: float
    start_seconds: float
    job_seconds: float
    memory_bytes: int
    log_bytes: int


class Tree(Protocol):
    """The processes of one worker."""

    def connect(self, seconds: float) -> socket.socket:
        """The trainer's end of the channel, which is the caller's to close. Raises SandboxError if the worker does not
        come within `seconds`."""

    def kill(self) -> None:
        """End all of them; returns when they are gone. Raises SandboxError if that cannot be known."""

    def ended(self) -> str:
        """How the worker ended, in words; one that has closed its channel gets a second to end before it is killed.

        Raises SandboxError if it was not the worker that failed."""


class Backend(Protocol):
    """A way to run a worker. What differs from one to another is said by the flags."""

    name: str
    namespaces: bool  # its workers see no processes, files or network of the host
    capped: bool  # its workers' memory, processor and processes have limits from outside, too
    holds_trainer: bool  # a whole job runs in it, not the candidate alone

    def unavailable(self) -> str | None:
        """None if a worker can run here, otherwise why not and what would help."""

    def torch(self) -> str:
        """The version of torch that jobs get."""

    def start(self, setup: str, log: io.FileIO) -> Tree:
        """Start a worker with `worker_setup`'s text; its output goes to `log`, at the latest when it is killed."""


def package_root() -> Path:
    """The folder that holds the mlsbench package."""
    return Path(__file__).absolute().parent.parent.parent


def installed_torch() -> str:
    """The version of torch beside this package."""
    return version("torch")


def worker_setup(contract: Contract, limits: Limits, lazy_parts: bool) -> str:
    """What a worker must know before it meets its candidate; nothing in it is secret.

    lazy_parts: whether it gets the parts of torch ready that load at their first use.
    """
    setup = {
        "contract": contract.dumps(),
        "lazy_parts": lazy_parts,
        "memory_bytes": limits.memory_bytes,
        "output_bytes": limits.log_bytes,
        "cpu_seconds": int(limits.job_seconds + limits.start_seconds) + 60,
    }
    return json.dumps(setup)


def worker_arguments(root: str, channel: str, setup: str) -> list[str]:
    """Arguments that make Python a worker with the package at `root`; `channel` is a descriptor's number or a path."""
    # Without the interpreter's own end: what a candidate left for that is not run, and libraries complain of nothing.
    end = "import os; os._exit(0)"
    code = f"import sys; sys.path.insert(0, {root!r}); from mlsbench.sandbox.worker import main; main(); {end}"
    return ["-c", code, channel, setup]


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a channel, the second for a worker to inherit."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return ours, theirs


def trial_arguments(root: str) -> list[str]:
    """Arguments that make Python lock itself and end with status 0 if it can."""
    return ["-c", f"import sys; sys.path.insert(0, {root!r}); {TRIAL}"]


def trial(command: list[str], environment: dict[str, str] | None = None) -> str | None:
    """Run `command`; None if it succeeds, otherwise the last line that it wrote."""
    try:
        done = subprocess.run(
            command, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return None if done.returncode == 0 else (lines[-1] if lines else f"exit status {done.returncode}")


def python_folders() -> list[str]:
    """The folders that Python and torch are loaded from, without the user's own files."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torch is not installed")
    found = [sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))]
    found.append(os.path.dirname(os.path.dirname(spec.origin)))
    kept: list[str] = []
    for folder in sorted(set(found), key=len):
        if not any(folder == k or folder.startswith(k + "/") for k in kept):
            kept.append(folder)
    return kept


def ending(tree: Tree, process: subprocess.Popen[bytes]) -> str:
    """`Tree.ended` for a tree whose exit status is that of `process`; statuses above 128 are signals."""
    try:
        code = process.wait(1)
    except subprocess.TimeoutExpired:
        tree.kill()
        return "was still running and was killed"
    if code < 0 or code > 128:
        return f"was ended by signal {-code if code < 0 else code - 128}"
    return f"exited with status {code}"
