"""The wire format between trainer and worker: fixed-size little-endian frames over a Unix stream socket.

Both sides derive every length from the contract and the symbolic dimensions of a call, so nothing that the other side
sends is ever used as a length. A request is a header, the dimensions and the inputs; a reply is a header that repeats
the request's nonce, then the outputs and the gradients, or a text of fixed size that says what went wrong.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

MAGIC = b"MLSB"
HEADER = struct.Struct("<4sHH16sI")  # magic, kind, method or error code, nonce, flags or length
CALL, RESULT, ERROR, READY, LOAD = 1, 2, 3, 4, 5
DISCONNECTED = 1  # flag of a reply: no path leads from the first output to an input with a gradient
RAISED, WRONG_RETURN, OUT_OF_MEMORY = 1, 2, 3  # codes of an ERROR reply
ERROR_BYTES = 1024
ITEM_BYTES = {"float32": 4, "int64": 8}


@dataclass(frozen=True)
class Array:
    """A named array: `dtype` is float32 or int64, `shape` has symbolic dimensions; `gradient` asks for its gradient."""

    name: str
    dtype: str
    shape: tuple[str, ...] = ()
    gradient: bool = False

    def nbytes(self, dims: dict[str, int]) -> int:
        """Size in bytes under `dims`."""
        size = ITEM_BYTES[self.dtype]
        for dim in self.shape:
            size *= dims[dim]
        return size


@dataclass(frozen=True)
class Method:
    """A method of the candidate's class. With an input that wants a gradient, the first output is differentiated."""

    name: str
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]

    @cached_property
    def differentiated(self) -> tuple[Array, ...]:
        """The inputs whose gradients end a reply, in their order."""
        return tuple(a for a in self.inputs if a.gradient)

    @cached_property
    def dims(self) -> tuple[str, ...]:
        """The symbolic dimensions in the order in which a request carries them."""
        return tuple(dict.fromkeys(d for a in (*self.inputs, *self.outputs) for d in a.shape))


@dataclass(frozen=True)
class Contract:
    """What both sides agree on: the candidate's class, its methods, the modules it may import."""

    class_name: str
    methods: tuple[Method, ...]
    modules: tuple[str, ...] = ()

    def dumps(self) -> str:
        """The contract as JSON, which `loads` reads."""
        return json.dumps(asdict(self))

    @staticmethod
    def loads(text: str) -> Contract:
        """The contract that `dumps` wrote."""
        raw = json.loads(text)

        def arrays(items: list[dict[str, Any]]) -> tuple[Array, ...]:
            return tuple(Array(i["name"], i["dtype"], tuple(i["shape"]), i["gradient"]) for i in items)

        methods = tuple(Method(m["name"], arrays(m["inputs"]), arrays(m["outputs"])) for m in raw["methods"])
        return Contract(raw["class_name"], methods, tuple(raw["modules"]))


class Layout:
    """The two buffers of one method under fixed dimensions, and a view of every array in them.

    `inputs`, `outputs` and `gradients` map names to memoryviews of bytes. `reply` is one byte longer than the longest
    valid reply, so that a longer one is noticed.
    """

    def __init__(self, index: int, method: Method, dims: dict[str, int]) -> None:
        self.index, self.method, self.dims = index, method, dims
        sizes = struct.pack(f"<{len(method.dims)}I", *(dims[d] for d in method.dims))
        start = HEADER.size + len(sizes)
        self.request = memoryview(bytearray(start + sum(a.nbytes(dims) for a in method.inputs)))
        self.request[HEADER.size : start] = sizes
        self.inputs = _views(self.request, start, method.inputs, dims)
        self.result_bytes = HEADER.size + sum(a.nbytes(dims) for a in (*method.outputs, *method.differentiated))
        self.reply = memoryview(bytearray(max(self.result_bytes, HEADER.size + ERROR_BYTES) + 1))
        self.outputs = _views(self.reply, HEADER.size, method.outputs, dims)
        after = HEADER.size + sum(a.nbytes(dims) for a in method.outputs)
        self.gradients = _views(self.reply, after, method.differentiated, dims)


def _views(buffer: memoryview, start: int, arrays: tuple[Array, ...], dims: dict[str, int]) -> dict[str, memoryview]:
    views = {}
    for array in arrays:
        views[array.name] = buffer[start : start + array.nbytes(dims)]
        start += array.nbytes(dims)
    return views


def error_frame(code: int, nonce: bytes, text: str) -> bytes:
    """An ERROR reply: `text` in UTF-8, cut and padded to ERROR_BYTES."""
    body = text.encode("utf-8", "replace")[:ERROR_BYTES].ljust(ERROR_BYTES, b"\0")
    return HEADER.pack(MAGIC, ERROR, code, nonce, 0) + body


def error_text(body: bytes | memoryview) -> str:
    """The text of an ERROR reply; hostile data, still to be cleaned before anybody sees it."""
    return bytes(body).rstrip(b"\0").decode("utf-8", "replace")
