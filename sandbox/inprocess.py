"""The `inprocess` session: the candidate in the trainer's own process. For debugging alone: nothing is locked."""

from __future__ import annotations

import time
from typing import Any

import torch

from mlsbench.sandbox.candidate import DTYPES, Candidate, WrongReturnError
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.frames import Contract, Layout


class InProcessSession:
    """Answers calls without a worker, through the same code that a worker runs."""

    name = "inprocess"

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._layouts: dict[tuple[str, tuple[int, ...]], Layout] = {}
        self.seconds = 0.0

    def load(self, text: str) -> None:
        try:
            self._candidate = Candidate(text, self._contract)
        except Exception as error:
            raise CandidateError(f"raised {type(error).__name__}: {error}") from error

    def layout(self, method: str, dims: dict[str, int]) -> Layout:
        key = (method, tuple(dims.values()))
        if key not in self._layouts:
            index = [m.name for m in self._contract.methods].index(method)
            self._layouts[key] = Layout(index, self._contract.methods[index], dims)
        return self._layouts[key]

    def call(self, layout: Layout) -> bool:
        started = time.monotonic()

        def tensor(array: Any, slot: memoryview) -> torch.Tensor:
            return torch.frombuffer(slot, dtype=DTYPES[array.dtype]).view([layout.dims[d] for d in array.shape])

        method = layout.method
        inputs = {a.name: tensor(a, layout.inputs[a.name]) for a in method.inputs}
        try:
            outputs, gradients, connected = self._candidate.call(method, inputs)
            for array, value in zip(method.outputs, outputs, strict=True):
                tensor(array, layout.outputs[array.name]).copy_(value)
            for array, value in zip(method.differentiated, gradients, strict=True):
                tensor(array, layout.gradients[array.name]).copy_(value)
        except WrongReturnError as error:
            raise CandidateError(str(error)) from error
        except Exception as error:
            raise CandidateError(f"raised {type(error).__name__}: {error}") from error
        self.seconds += time.monotonic() - started
        return connected

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass
