"""The trusted side of the wire: one request, one reply, one absolute deadline. Everything received is hostile."""

from __future__ import annotations

import os
import socket
import time

from mlsbench.sandbox.frames import (
    CALL,
    DISCONNECTED,
    ERROR,
    ERROR_BYTES,
    HEADER,
    LOAD,
    MAGIC,
    OUT_OF_MEMORY,
    READY,
    RESULT,
    WRONG_RETURN,
    Contract,
    Layout,
    error_text,
)  # fmt: skip

BUFFER_BYTES = 1 << 20  # room for a whole frame: neither side waits for the other in the middle of one
SHORT = HEADER.size + ERROR_BYTES  # of an ERROR reply


class CandidateError(Exception):
    """The candidate, or whatever took its place in the worker, did something that ends the job; the text says what.

    It may hold text of the candidate's: clean it before showing it.
    """


class WorkerClosedError(CandidateError):
    """The worker closed the channel or died."""


class SandboxError(Exception):
    """The sandbox failed, not the candidate."""


class Channel:
    """Exchanges frames with one worker over a connected Unix stream socket."""

    def __init__(self, sock: socket.socket, contract: Contract) -> None:
        self._socket = sock
        self._methods = {m.name: (i, m) for i, m in enumerate(contract.methods)}
        self._layouts: dict[tuple[str, tuple[int, ...]], Layout] = {}
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)

    def layout(self, method: str, dims: dict[str, int]) -> Layout:
        """The buffers for calls of `method` under `dims`, the same object each time."""
        key = (method, tuple(dims.values()))
        if key not in self._layouts:
            self._layouts[key] = Layout(*self._methods[method], dims)
        return self._layouts[key]

    def wait_ready(self, seconds: float) -> None:
        """Return when the worker is locked. Raises SandboxError if it cannot be, or says nothing in time."""
        reply = memoryview(bytearray(SHORT + 1))
        try:
            kind = self._receive(reply, time.monotonic() + seconds, HEADER.size)
        except CandidateError as error:
            raise SandboxError(f"the worker did not start: {error}") from None
        if kind != READY:
            raise SandboxError(f"the worker did not start: {error_text(reply[HEADER.size : SHORT])}")

    def load(self, text: str, seconds: float) -> None:
        """Send the candidate; returns when it is imported and constructed. Raises CandidateError."""
        deadline, data, nonce = time.monotonic() + seconds, text.encode(), os.urandom(16)
        self._refuse_early()
        self._send(HEADER.pack(MAGIC, LOAD, 0, nonce, len(data)) + data, deadline)
        self._answer(memoryview(bytearray(SHORT + 1)), nonce, deadline, HEADER.size)

    def call(self, layout: Layout, seconds: float) -> bool:
        """Send what stands in `layout.inputs`; the answer stands in `layout.outputs` and `.gradients` afterwards.

        Returns whether the first output was connected to an input with a gradient. Raises CandidateError.
        """
        deadline, nonce = time.monotonic() + seconds, os.urandom(16)
        HEADER.pack_into(layout.request, 0, MAGIC, CALL, layout.index, nonce, 0)
        self._refuse_early()
        self._send(layout.request, deadline)
        return not self._answer(layout.reply, nonce, deadline, layout.result_bytes) & DISCONNECTED

    def finish(self) -> None:
        """Check that nothing was sent after the last reply. Raises CandidateError."""
        self._refuse_early()

    def close(self) -> None:
        """Close the socket; the worker ends by itself if it still can."""
        self._socket.close()

    def _refuse_early(self) -> None:
        # A reply that waits here before its request is sent was made without seeing the request.
        self._socket.setblocking(False)
        try:
            if self._socket.recv(1, socket.MSG_PEEK):
                raise CandidateError("protocol: the worker sent a frame that nobody had asked for")
        except BlockingIOError:
            return
        except OSError as error:
            raise WorkerClosedError(f"the channel broke: {error.strerror}") from None
        raise WorkerClosedError("the worker closed the channel")

    def _send(self, data: bytes | memoryview, deadline: float) -> None:
        self._socket.settimeout(max(deadline - time.monotonic(), 1e-3))
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise CandidateError("too slow: the worker did not read its request before the deadline") from None
        except OSError as error:
            raise WorkerClosedError(f"the channel broke: {error.strerror}") from None

    def _answer(self, reply: memoryview, nonce: bytes, deadline: float, result_bytes: int) -> int:
        """Receive one reply into `reply` and return its flags; an ERROR reply becomes a CandidateError."""
        kind = self._receive(reply, deadline, result_bytes)
        _, _, code, echoed, flags = HEADER.unpack_from(reply)
        if echoed != nonce:
            raise CandidateError("protocol: a reply does not belong to its request")
        if kind == RESULT:
            return int(flags)
        if kind != ERROR:
            raise CandidateError("protocol: the worker sent a frame that is no reply")
        text = error_text(reply[HEADER.size : SHORT])
        raise CandidateError({WRONG_RETURN: "", OUT_OF_MEMORY: "out of memory: "}.get(code, "raised ") + text)

    def _receive(self, reply: memoryview, deadline: float, result_bytes: int) -> int:
        """Fill `reply` with exactly one frame, of the length that its kind has; return the kind."""
        filled, expected, kind = 0, HEADER.size, 0
        while filled < expected:
            left = deadline - time.monotonic()
            if left <= 0:
                raise CandidateError("too slow: no whole reply before the deadline")
            self._socket.settimeout(left)
            try:
                count = self._socket.recv_into(reply[filled:])
            except TimeoutError:
                continue
            except OSError as error:
                raise WorkerClosedError(f"the channel broke: {error.strerror}") from None
            if count == 0:
                raise WorkerClosedError("the worker ended before it answered")
            filled += count
            if not kind and filled >= HEADER.size:
                magic, kind, _, _, _ = HEADER.unpack_from(reply)
                if magic != MAGIC or kind not in (RESULT, ERROR, READY):
                    raise CandidateError("protocol: the worker sent something that is no frame")
                expected = SHORT if kind == ERROR else result_bytes
        if filled > expected:
            raise CandidateError("protocol: the worker sent more than its reply")
        return kind
