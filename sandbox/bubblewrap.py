"""The `bubblewrap` backend: namespaces around the locked worker, which sees Python's folders, read-only, alone."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import shutil
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
    python_folders,
    trial,
    trial_arguments,
    worker_arguments,
)  # fmt: skip

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache")


class Namespace:
    """A worker in a PID namespace: when the namespace's first process is killed, the kernel ends all others before it
    lets the first be reaped, and bubblewrap ends after that."""

    def __init__(self, process: subprocess.Popen[bytes], first: int | None, channel: socket.socket) -> None:
        self._process, self._first, self._channel = process, first, channel

    def connect(self, seconds: float) -> socket.socket:
        return self._channel

    def kill(self) -> None:
        if self._first is None:
            self._process.kill()
        else:
            # Whether bubblewrap lives or not: killed by somebody else, it may have left its namespace behind.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            gone = select.poll()
            gone.register(self._first, select.POLLIN)
            gone.poll()
            os.close(self._first)
            self._first = None
        self._process.wait()
        self._channel.close()

    def ended(self) -> str:
        return ending(self, self._process)


class Bubblewrap:
    """Workers in fresh namespaces: own processes, no network, read-only root, empty environment."""

    name = "bubblewrap"
    namespaces, capped, holds_trainer = True, False, False
    root = "/mlsbench"

    def unavailable(self) -> str | None:
        if shutil.which("bwrap") is None:
            return "bubblewrap is not installed: apt-get install bubblewrap (or your distribution's package)"
        reason = trial([*self._command(), sys.executable, *PYTHON, *trial_arguments(self.root)])
        return None if reason is None else f"bubblewrap cannot make its namespaces here: {reason}"

    def torch(self) -> str:
        return installed_torch()

    def start(self, setup: str, log: io.FileIO) -> Tree:
        ours, theirs = channel_pair()
        reader, writer = os.pipe()
        worker = [sys.executable, *PYTHON, *worker_arguments(self.root, str(theirs.fileno()), setup)]
        try:
            process = subprocess.Popen(
                [*self._command(), "--info-fd", str(writer), *worker],
                env={}, cwd="/", pass_fds=[theirs.fileno(), writer], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        finally:
            os.close(writer)
            theirs.close()
        with open(reader, "rb") as info:
            told = info.read()
        try:
            first = os.pidfd_open(json.loads(told)["child-pid"])
        except (ValueError, KeyError, ProcessLookupError):
            first = None  # it failed before it had a child; `ended` tells
        return Namespace(process, first, ours)

    def _command(self) -> list[str]:
        package = package_root() / "mlsbench"
        binds = [(p, p) for p in SYSTEM if os.path.lexists(p)]
        binds += [(f, f) for f in python_folders() if not any(f == s or f.startswith(s + "/") for s in SYSTEM)]
        binds += [
            (str(package / "__init__.py"), f"{self.root}/mlsbench/__init__.py"),
            (os.path.realpath(package / "sandbox"), f"{self.root}/mlsbench/sandbox"),
        ]
        # The worker's lock turns root into nobody once Python has loaded; root's own namespace could not map nobody.
        user = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if os.geteuid() == 0 else ["--unshare-user"]
        return [
            "bwrap", "--die-with-parent", "--new-session", "--unshare-pid", "--unshare-net", "--unshare-ipc",
            "--unshare-uts", "--unshare-cgroup-try", *user, "--hostname", "worker",
            "--proc", "/proc", "--dev", "/dev", "--size", "1048576", "--tmpfs", "/tmp",
            *(a for bind in binds for a in ("--ro-bind", *bind)),
            "--chdir", "/", "--clearenv",
            *(a for pair in ENVIRONMENT.items() for a in ("--setenv", *pair)),
            "--remount-ro", "/",
        ]  # fmt: skip
