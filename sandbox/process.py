"""The `process` backend: a plain child process behind the worker's own lock, no namespaces."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys

from mlsbench.sandbox.backend import (
    ENVIRONMENT,
    PYTHON,
    Tree,
    channel_pair,
    ending,
    installed_torch,
    package_root,
    trial,
    trial_arguments,
    worker_arguments,
)  # fmt: skip


class ProcessTree:
    """A worker without namespaces is one process: its lock permits no other."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self._process, self._channel = process, channel

    def connect(self, seconds: float) -> socket.socket:
        return self._channel

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._channel.close()

    def ended(self) -> str:
        return ending(self, self._process)


class Process:
    """Workers as child processes in sessions of their own."""

    name = "process"
    namespaces = capped = holds_trainer = False
    root = str(package_root())

    def unavailable(self) -> str | None:
        reason = trial([sys.executable, *PYTHON, *trial_arguments(self.root)], ENVIRONMENT)
        return None if reason is None else f"a process cannot lock itself here: {reason}"

    def torch(self) -> str:
        return installed_torch()

    def start(self, setup: str, log: io.FileIO) -> Tree:
        ours, theirs = channel_pair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, *PYTHON, *worker_arguments(self.root, str(theirs.fileno()), setup)],
                env=ENVIRONMENT, cwd="/", pass_fds=[theirs.fileno()], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return ProcessTree(process, ours)
