"""What every backend offers: start one worker, say how it ended, and end its whole process tree."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

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

    def kill(self) -> None:
        """End all of them; returns when they are gone."""

    def ended(self) -> str:
        """How the worker ended, in words; one that has closed its channel gets a second to end before it is killed."""


class Backend(Protocol):
    """A way to run a worker."""

    name: str
    root: str  # where the worker finds the mlsbench package

    def unavailable(self) -> str | None:
        """None if a worker can run here, otherwise why not and what would help."""

    def start(self, arguments: list[str], channel: int, log: BinaryIO) -> Tree:
        """Start Python with PYTHON and `arguments` with the descriptor `channel` open and its output going to `log`."""


def package_root() -> Path:
    """The folder that holds the mlsbench package."""
    return Path(__file__).absolute().parent.parent.parent


def worker_arguments(root: str, contract: Contract, limits: Limits, channel: int) -> list[str]:
    """Arguments that make Python a worker with the package at `root`."""
    setup = {
        "contract": contract.dumps(),
        "memory_bytes": limits.memory_bytes,
        "output_bytes": limits.log_bytes,
        "cpu_seconds": int(limits.job_seconds + limits.start_seconds) + 60,
    }
    code = f"import sys; sys.path.insert(0, {root!r}); from mlsbench.sandbox.worker import main; main()"
    return ["-c", code, str(channel), json.dumps(setup)]


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
