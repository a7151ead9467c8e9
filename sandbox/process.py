"""The `process` backend: a plain child process behind the worker's own lock, no namespaces."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import BinaryIO

from mlsbench.sandbox.backend import ENVIRONMENT, PYTHON, Tree, ending, package_root, trial, trial_arguments


class ProcessTree:
    """A worker without namespaces is one process: its lock permits no other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ended(self) -> str:
        return ending(self, self._process)


class Process:
    """Workers as child processes in sessions of their own."""

    name = "process"
    root = str(package_root())

    def unavailable(self) -> str | None:
        reason = trial([sys.executable, *PYTHON, *trial_arguments(self.root)], ENVIRONMENT)
        return None if reason is None else f"a process cannot lock itself here: {reason}"

    def start(self, arguments: list[str], channel: int, log: BinaryIO) -> Tree:
        process = subprocess.Popen(
            [sys.executable, *PYTHON, *arguments], env=ENVIRONMENT, cwd="/", pass_fds=[channel], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        return ProcessTree(process)
