"""Calls of one method of a session's candidate: arrays go in by name, arrays come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from mlsbench.sandbox.frames import Array, Layout, Method
from mlsbench.sandbox.session import Session

_TYPES = {"float32": torch.float32, "int64": torch.int64}


class Returned(NamedTuple):
    """Outputs and gradients by name, on the CPU and valid until the next call; `connected`: one depends on another."""

    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor]
    connected: bool


class _Views(NamedTuple):
    layout: Layout
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor]


class Caller:
    """Calls `method` of what `session` has loaded."""

    def __init__(self, session: Session, method: Method) -> None:
        self._session, self._method = session, method
        self._shaped = [array.name for array in method.inputs if array.shape]
        self._views: dict[tuple[torch.Size, ...], _Views] = {}

    def __call__(self, arrays: Mapping[str, Tensor | int]) -> Returned:
        """Give the method those of `arrays` that its contract names. Raises CandidateError."""
        sizes = tuple([_tensor(arrays[name]).shape for name in self._shaped])
        views = self._views.get(sizes) or self._make(sizes)
        for name, view in views.inputs.items():
            value = arrays[name]
            if isinstance(value, Tensor):
                view.copy_(value)
            else:
                view.fill_(value)
        return Returned(views.outputs, views.gradients, self._session.call(views.layout))

    def _make(self, sizes: tuple[torch.Size, ...]) -> _Views:
        known = {
            dim: length
            for array, size in zip([a for a in self._method.inputs if a.shape], sizes, strict=True)
            for dim, length in zip(array.shape, size, strict=True)
        }
        dims = {dim: known[dim] for dim in self._method.dims}
        layout = self._session.layout(self._method.name, dims)

        def views(buffers: dict[str, memoryview], arrays: tuple[Array, ...]) -> dict[str, Tensor]:
            return {
                a.name: torch.frombuffer(buffers[a.name], dtype=_TYPES[a.dtype]).view([dims[d] for d in a.shape])
                for a in arrays
            }

        made = _Views(
            layout, views(layout.inputs, self._method.inputs), views(layout.outputs, self._method.outputs),
            views(layout.gradients, self._method.differentiated),
        )  # fmt: skip
        self._views[sizes] = made
        return made


def _tensor(value: Tensor | int) -> Tensor:
    assert isinstance(value, Tensor), "what has a shape is a tensor"
    return value
