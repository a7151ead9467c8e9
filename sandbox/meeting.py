"""How a worker that inherits nothing reaches its trainer: over a socket in a folder that both see."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from mlsbench.sandbox.channel import BUFFER_BYTES, SandboxError

NAME = "socket"


class Meeting:
    """The trainer's end: a socket that listens in a fresh folder, for one worker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        folder.chmod(0o755)  # the worker runs as somebody else; who may come near decides the folder above
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.settimeout(0.5)
        descriptor = os.open(folder, os.O_PATH)
        try:
            self._listener.bind(f"/proc/self/fd/{descriptor}/{NAME}")  # a socket's own path has 107 bytes at most
        finally:
            os.close(descriptor)
        (folder / NAME).chmod(0o666)
        self._listener.listen(1)

    def accept(self, seconds: float, running: Callable[[], bool]) -> tuple[socket.socket, list[io.FileIO]]:
        """The connected worker; what it writes its output to, and what it lives no longer than. Raises SandboxError if
        none comes. A runtime whose kernel passes no descriptors gives no files."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                connected = self._listener.accept()[0]
                break
            except TimeoutError:
                if time.monotonic() > deadline or not running():
                    raise SandboxError("the worker did not start: it never reached the channel") from None
        self._listener.close()  # nobody else is waited for
        connected.settimeout(max(deadline - time.monotonic(), 1))
        _, descriptors, _, _ = socket.recv_fds(connected, 1, 2)
        return connected, [io.FileIO(descriptor, "r") for descriptor in descriptors]

    def close(self) -> None:
        """Remove the folder; calling it again does nothing."""
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class MetTree:
    """A worker that came to a meeting; `end(patience)` gives it that many seconds to end by itself, then ends and
    removes it, and returns how it ended; `running()` tells whether it is still there."""

    def __init__(
        self, meeting: Meeting, log: io.FileIO, end: Callable[[float], str], running: Callable[[], bool]
    ) -> None:
        self._meeting, self._log, self._end, self._running = meeting, log, end, running
        self._connected: socket.socket | None = None
        self._files: list[io.FileIO] = []
        self._ended: str | None = None

    def connect(self, seconds: float) -> socket.socket:
        if self._connected is None:
            self._connected, self._files = self._meeting.accept(seconds, self._running)
        return self._connected

    def kill(self) -> None:
        self._finish(0)

    def ended(self) -> str:
        return self._finish(1)

    def _finish(self, patience: float) -> str:
        if self._ended is None:
            try:
                self._ended = self._end(patience)
            finally:
                self._meeting.close()
                if self._connected is not None:
                    self._connected.close()
            for output in self._files[:1]:
                self._log.write(os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0))
            for file in self._files:
                file.close()
        return self._ended


def meet(path: str) -> int:
    """The worker's end: connect to the socket at `path` and return the connection's descriptor. Handed over are a file
    in memory, our standard output and error from then on, and a pipe, whose other end becomes our standard input: the
    kernel kills us when the trainer is gone, although we should be in a loop that never looks at the channel."""
    with socket.socket(socket.AF_UNIX) as connected:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        connected.connect(path)
        output = os.memfd_create("output")
        theirs, ours = os.pipe()
        try:
            socket.send_fds(connected, [b"\0"], [output, theirs])
        except OSError:  # a kernel of the runtime's own may pass none: no log then, and none but the engine ends us
            connected.sendall(b"\0")
        else:
            fcntl.fcntl(ours, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(ours, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC)
        for standard, descriptor in ((0, ours), (1, output), (2, output)):
            os.dup2(descriptor, standard)
        for descriptor in (output, theirs, ours):
            os.close(descriptor)
        return connected.detach()
