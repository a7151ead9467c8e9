"""What harness/graphs.py uses of torch.cuda, on the CPU: a graph holds the operations that ran while it was recorded,
and runs them again on the same tensors. As on a GPU, Python takes no part in a replay, results come to lie where they
lay when they were recorded, and nothing may leave a recording as a Python number. Streams and events do nothing: the
CPU is always done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class CUDAGraph:
    """Recorded operations, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []

    def replay(self) -> None:
        with torch.no_grad():
            for operation, args, kwargs, results in self.calls:
                again = tree_leaves(operation(*args, **kwargs))
                for result, value in zip(results, [t for t in again if isinstance(t, Tensor)], strict=True):
                    if result.data_ptr() != value.data_ptr():  # neither in place nor a view
                        result.copy_(value)


class _Recorder(TorchDispatchMode):
    def __init__(self, into: CUDAGraph) -> None:
        super().__init__()
        self._into = into

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = operation(*args, **(kwargs or {}))
        tensors = [t.detach() if t.requires_grad else t for t in tree_leaves(result) if isinstance(t, Tensor)]
        self._into.calls.append((operation, args, kwargs or {}, tensors))
        return result


@contextmanager
def graph(recorded: CUDAGraph, pool: object) -> Iterator[None]:
    """Run what is inside and record it."""
    with _Recorder(recorded):
        yield


class Stream:
    def wait_stream(self, other: object) -> None:
        pass


class Event:
    def record(self) -> None:
        pass

    def synchronize(self) -> None:
        pass


def current_stream() -> Stream:
    return Stream()


def stream(_: Stream) -> Any:
    return nullcontext()


def graph_pool_handle() -> object:
    return object()
