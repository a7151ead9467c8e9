"""The untrusted side: imports torch, locks itself, receives a candidate and answers calls until the channel closes.

Started as `python -c "… main()" CHANNEL SETUP`: an inherited descriptor's number or a socket's path, and JSON with the
contract and the limits. Nothing of the candidate is received before the lock is on.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import struct
import sys
import warnings
from typing import Any

from mlsbench.sandbox import lock
from mlsbench.sandbox.frames import (
    CALL,
    DISCONNECTED,
    HEADER,
    LOAD,
    MAGIC,
    OUT_OF_MEMORY,
    RAISED,
    READY,
    RESULT,
    WRONG_RETURN,
    Contract,
    Layout,
    error_frame,
)  # fmt: skip

SEED = 0x6D6C7362  # of the candidate's random numbers: a constant of the protocol


def main() -> None:
    """Serve one candidate; returns when the trainer closes the channel."""
    gc.disable()  # a fifth of the import time; nothing here is garbage
    given, setup = sys.argv[1], json.loads(sys.argv[2])
    if given.isdigit():
        descriptor = int(given)
    else:
        from mlsbench.sandbox.meeting import meet

        descriptor = meet(given)
    contract = Contract.loads(setup["contract"])
    # Plain read and write: the lock permits no socket calls, whose flags and addresses reach far into the kernel.
    channel = io.FileIO(descriptor, "r+")
    try:
        import torch

        for module in ("mlsbench.sandbox.candidate", *contract.modules):
            importlib.import_module(module)
        _warm_up(torch)
        if setup["lazy_parts"]:
            _warm_up_lazy_parts(torch)
        torch.manual_seed(SEED)
        lock.lock(descriptor, setup["memory_bytes"], setup["output_bytes"], setup["cpu_seconds"])
    except (lock.LockError, ImportError) as error:
        _send(channel, error_frame(0, bytes(16), f"{type(error).__name__}: {error}"))
        return
    sys.argv[:] = ["worker"]
    sys.stdout = sys.stderr = _Capped(setup["output_bytes"] // 2)
    gc.enable()
    gc.freeze()
    _serve(channel, contract)


def _serve(channel: io.FileIO, contract: Contract) -> None:
    import torch

    from mlsbench.sandbox.candidate import DTYPES, Candidate

    _send(channel, HEADER.pack(MAGIC, READY, 0, bytes(16), 0))
    kind, _, nonce, length = _header(_receive(channel, HEADER.size))
    if kind != LOAD:
        return
    text = _receive(channel, length).decode()
    try:
        candidate = Candidate(text, contract)
    except BaseException as error:
        _send(channel, error_frame(*_describe(error, nonce)))
        return
    _send(channel, HEADER.pack(MAGIC, RESULT, 0, nonce, 0))

    # Views of both buffers as tensors, made once for each method and size.
    known: dict[tuple[int, bytes], tuple[Layout, dict[str, Any], list[Any]]] = {}
    heads = [struct.Struct(f"<{len(m.dims)}I") for m in contract.methods]
    largest = HEADER.size + max(h.size for h in heads)
    head = memoryview(bytearray(largest))
    while True:
        if not _receive_into(channel, head[: HEADER.size]):
            return
        kind, index, nonce, _ = _header(head)
        if kind != CALL:
            return
        method = contract.methods[index]
        sizes = head[HEADER.size : HEADER.size + heads[index].size]
        _receive_into(channel, sizes)
        found = known.get((index, bytes(sizes)))
        if found is None:
            layout = Layout(index, method, dict(zip(method.dims, heads[index].unpack(sizes), strict=True)))

            def views(slots: dict[str, memoryview], arrays: Any, dims: dict[str, int] = layout.dims) -> dict[str, Any]:
                return {
                    a.name: torch.frombuffer(slots[a.name], dtype=DTYPES[a.dtype]).view([dims[d] for d in a.shape])
                    for a in arrays
                }

            inputs = views(layout.inputs, method.inputs)
            answers = [*views(layout.outputs, method.outputs).values()]
            answers += views(layout.gradients, method.differentiated).values()
            found = known[index, bytes(sizes)] = (layout, inputs, answers)
        layout, inputs, answers = found
        _receive_into(channel, layout.request[HEADER.size + heads[index].size :])
        try:
            outputs, gradients, connected = candidate.call(method, inputs)
            for slot, value in zip(answers, [*outputs, *gradients], strict=True):
                slot.copy_(value)
        except BaseException as error:
            _send(channel, error_frame(*_describe(error, nonce)))
            return
        HEADER.pack_into(layout.reply, 0, MAGIC, RESULT, 0, nonce, 0 if connected else DISCONNECTED)
        _send(channel, layout.reply[: layout.result_bytes])


def _header(data: bytes | memoryview) -> tuple[int, int, bytes, int]:
    _, kind, code, nonce, length = HEADER.unpack_from(data)
    return kind, code, nonce, length


def _receive(channel: io.FileIO, length: int) -> bytes:
    buffer = bytearray(length)
    if not _receive_into(channel, memoryview(buffer)):
        raise SystemExit
    return bytes(buffer)


def _receive_into(channel: io.FileIO, view: memoryview) -> bool:
    while len(view):
        count = channel.readinto(view)
        if count == 0:
            return False
        view = view[count:]
    return True


def _send(channel: io.FileIO, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while len(view):
        view = view[channel.write(view) :]


def _describe(error: BaseException, nonce: bytes) -> tuple[int, bytes, str]:
    """Error code, nonce and one line about an exception of the candidate, whose own `__str__` may be anything."""
    from mlsbench.sandbox.candidate import FILE, WrongReturnError

    try:
        # A syntax error's own text names a line of the whole file; below it is told as the file's author counts.
        text = str(error.msg if isinstance(error, SyntaxError) else error)[:600]
    except BaseException as second:
        text = f"(its text cannot be had: {type(second).__name__})"
    if isinstance(error, WrongReturnError):
        return WRONG_RETURN, nonce, text
    line, trace = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f" (line {line})" if line else ""
    if isinstance(error, ImportError):
        hint = "; a worker loads no module once it has its file, and parts of torch only for a file that names them"
        where = hint + where
    memory = isinstance(error, MemoryError) or "can't allocate memory" in text or "not enough memory" in text
    return OUT_OF_MEMORY if memory else RAISED, nonce, f"{type(error).__name__}: {text}{where}"


class _Capped(io.TextIOBase):
    """Standard output and error for a candidate's prints: unbuffered, silent after `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        data = text[: self._left].encode("utf-8", "replace")[: self._left]
        self._left -= len(data)
        if data:
            sys.__stderr__.buffer.raw.write(data)  # type: ignore[union-attr]
        return len(text)


def _warm_up(torch: Any) -> None:
    """Use once what loads code at its first use: the lock closes the file system."""
    functional = torch.nn.functional
    torch.set_num_threads(1)

    class Twice(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, value: Any) -> Any:
            context.save_for_backward(value)
            return value * 2

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            return gradient * 2

    logits, labels = torch.zeros(8, 10, requires_grad=True), torch.arange(8)
    loss = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    loss = loss + functional.kl_div(
        logits.log_softmax(1), functional.one_hot(labels, 10).float(), reduction="batchmean"
    )
    loss = loss + Twice.apply(logits).softmax(1).topk(3).values.sort().values.pow(2).mean()
    loss = loss + torch.einsum("bk,bk->b", logits, logits).logsumexp(0) + torch.where(logits > 0, logits, -logits).std()
    loss = loss + functional.gumbel_softmax(logits, 1.0)[labels, labels].mean() + (logits @ logits.T).relu().mean()
    (first,) = torch.autograd.grad(loss, logits, create_graph=True)
    first.square().sum().backward()
    with torch.no_grad(), torch.device("cpu"):
        repr(logits), f"{loss.item():.3f}"
    importlib.import_module("unicodedata")  # for names of characters in a text


def _warm_up_lazy_parts(torch: Any) -> None:
    """The same for the parts of torch that bring its compiler with them, which takes as long as all the rest."""
    with warnings.catch_warnings(action="ignore"):  # of torch about itself, in the candidate's log
        torch.func.hessian(lambda row: row.logsumexp(0))(torch.zeros(3))
    layer = torch.nn.Linear(10, 10)
    for optimizer in (torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9), torch.optim.Adam(layer.parameters())):
        optimizer.zero_grad()
        layer(torch.ones(2, 10)).sum().backward()
        optimizer.step()
