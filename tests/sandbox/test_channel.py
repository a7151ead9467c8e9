"""The trusted side of the wire against a peer that breaks every rule: the exchange ends, in words, by the deadline."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mlsbench.sandbox.channel import CandidateError, Channel, SandboxError, WorkerClosedError
from mlsbench.sandbox.frames import (
    DISCONNECTED,
    ERROR,
    HEADER,
    MAGIC,
    RAISED,
    READY,
    RESULT,
    WRONG_RETURN,
    Array,
    Contract,
    Layout,
    Method,
    error_frame,
)

DEADLINE = 0.2
CONTRACT = Contract("Loss", (Method("f", (Array("x", "float32", ("n",), True),), (Array("y", "float32"),)),))
BODY = struct.pack("<5f", 7, 1, 2, 3, 4)  # loss 7 and the gradient with respect to four numbers

Peer = Callable[[socket.socket, bytes], None]


class Exchange:
    """A channel whose other end a test plays."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(5)  # a peer that waits for a request in vain must not keep the test waiting
        self.channel = Channel(ours, CONTRACT)
        self.layout: Layout = self.channel.layout("f", {"n": 4})

    def call(self, peer: Peer) -> bool:
        """One call, answered by `peer`, which gets its socket and the nonce of the request."""

        def answer() -> None:
            request = b""
            while len(request) < len(self.layout.request):
                request += self.theirs.recv(1 << 16)
            peer(self.theirs, HEADER.unpack_from(request)[3])

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            return self.channel.call(self.layout, DEADLINE)
        finally:
            thread.join()


def reply(nonce: bytes, kind: int = RESULT, flags: int = 0, magic: bytes = MAGIC) -> bytes:
    return HEADER.pack(magic, kind, 0, nonce, flags) + BODY


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    one = Exchange()
    yield one
    one.channel.close()
    one.theirs.close()


def test_an_honest_reply_fills_outputs_and_gradients(exchange: Exchange) -> None:
    assert exchange.call(lambda s, n: s.sendall(reply(n)))
    assert bytes(exchange.layout.outputs["y"]) + bytes(exchange.layout.gradients["x"]) == BODY


def test_a_reply_that_comes_in_single_bytes_but_in_time_is_taken(exchange: Exchange) -> None:
    def peer(s: socket.socket, n: bytes) -> None:
        for byte in reply(n):
            s.sendall(bytes([byte]))

    assert exchange.call(peer)
    assert bytes(exchange.layout.outputs["y"]) == BODY[:4]


def test_the_flag_of_a_loss_without_a_path_arrives(exchange: Exchange) -> None:
    assert not exchange.call(lambda s, n: s.sendall(reply(n, flags=DISCONNECTED)))


def test_each_request_has_a_nonce_of_its_own(exchange: Exchange) -> None:
    seen: list[bytes] = []

    def peer(s: socket.socket, n: bytes) -> None:
        seen.append(n)
        s.sendall(reply(n))

    for _ in range(20):
        exchange.call(peer)
    assert len(set(seen)) == 20


@pytest.mark.parametrize(
    ("said", "peer"),
    [
        ("protocol: a reply does not belong", lambda s, n: s.sendall(reply(bytes(16)))),
        ("protocol: the worker sent something that is no frame", lambda s, n: s.sendall(reply(n, magic=b"HTTP"))),
        ("protocol: the worker sent something that is no frame", lambda s, n: s.sendall(reply(n, kind=77))),
        ("protocol: the worker sent something that is no frame", lambda s, n: s.sendall(b"\n" * 4000)),
        ("protocol: the worker sent a frame that is no reply", lambda s, n: s.sendall(reply(n, kind=READY))),
        ("protocol: the worker sent more than its reply", lambda s, n: s.sendall(reply(n) + b"x")),
        ("protocol: the worker sent more than its reply", lambda s, n: s.sendall(reply(n) + reply(n))),
        ("protocol: the worker sent more than its reply", lambda s, n: s.sendall(reply(n, flags=1 << 31) + b"x" * 999)),
        ("protocol: the worker sent more than its reply", lambda s, n: s.sendall(error_frame(RAISED, n, "") + b"x")),
        ("protocol: a reply does not belong", lambda s, n: s.sendall(error_frame(RAISED, bytes(16), "text"))),
        ("too slow", lambda s, n: None),
        ("too slow", lambda s, n: s.sendall(b"MLS")),
        ("too slow", lambda s, n: s.sendall(reply(n)[:-1])),
        ("too slow", lambda s, n: s.sendall(error_frame(RAISED, n, "")[:-1])),
        ("the worker ended before it answered", lambda s, n: s.close()),
        ("the worker ended before it answered", lambda s, n: (s.sendall(reply(n)[:40]), s.close())),
        ("raised ValueError: no", lambda s, n: s.sendall(error_frame(RAISED, n, "ValueError: no"))),
        ("f must return", lambda s, n: s.sendall(error_frame(WRONG_RETURN, n, "f must return"))),
        ("raised \ufffd\ufffd", lambda s, n: s.sendall(HEADER.pack(MAGIC, ERROR, 9, n, 0) + b"\xff" * 1024)),
    ],
)  # fmt: skip
def test_a_hostile_reply_ends_the_exchange_in_words(exchange: Exchange, said: str, peer: Peer) -> None:
    with pytest.raises(CandidateError, match="^" + said):
        exchange.call(peer)


def test_bytes_that_keep_coming_do_not_move_the_deadline(exchange: Exchange) -> None:
    stop = threading.Event()

    def dribble(s: socket.socket, n: bytes) -> None:
        for byte in HEADER.pack(MAGIC, ERROR, 0, n, 0) + bytes(900):
            if stop.wait(DEADLINE / 10):
                return
            s.sendall(bytes([byte]))

    started = time.monotonic()
    thread = threading.Thread(target=dribble, args=(exchange.theirs, bytes(16)))
    exchange.channel._send(exchange.layout.request, started + DEADLINE)
    thread.start()
    with pytest.raises(CandidateError, match=r"^too slow"):
        exchange.channel._answer(exchange.layout.reply, bytes(16), started + DEADLINE, exchange.layout.result_bytes)
    assert time.monotonic() - started < 10 * DEADLINE
    stop.set()
    thread.join()


def test_a_frame_that_waits_before_its_request_is_refused(exchange: Exchange) -> None:
    exchange.theirs.sendall(reply(bytes(16)))
    with pytest.raises(CandidateError, match=r"^protocol: the worker sent a frame that nobody had asked for"):
        exchange.channel.call(exchange.layout, DEADLINE)


def test_a_reply_sent_twice_is_noticed_at_the_next_call_or_at_the_end(exchange: Exchange) -> None:
    exchange.call(lambda s, n: s.sendall(reply(n)))
    exchange.theirs.sendall(b"x")
    with pytest.raises(CandidateError, match=r"^protocol"):
        exchange.channel.finish()


def test_a_peer_that_never_reads_meets_the_deadline(exchange: Exchange) -> None:
    layout = exchange.channel.layout("f", {"n": 1 << 20})  # 4 MB, more than a socket holds
    with pytest.raises(CandidateError, match=r"^too slow: the worker did not read"):
        exchange.channel.call(layout, DEADLINE)


def test_a_peer_that_has_closed_is_no_crash_of_ours(exchange: Exchange) -> None:
    exchange.theirs.close()
    with pytest.raises(WorkerClosedError):
        exchange.channel.call(exchange.layout, DEADLINE)


def test_a_peer_that_closes_with_unread_data_is_no_crash_of_ours(exchange: Exchange) -> None:
    exchange.channel._send(b"never read", time.monotonic() + DEADLINE)
    exchange.theirs.close()
    with pytest.raises(WorkerClosedError):
        exchange.channel.call(exchange.layout, DEADLINE)


@pytest.mark.parametrize(
    "frame", [HEADER.pack(MAGIC, RESULT, 0, bytes(16), 0), error_frame(0, bytes(16), "LockError"), b""]
)
def test_a_worker_that_does_not_get_ready_is_a_failure_of_the_sandbox(exchange: Exchange, frame: bytes) -> None:
    exchange.theirs.sendall(frame)
    with pytest.raises(SandboxError):
        exchange.channel.wait_ready(DEADLINE)
