"""One candidate in one fresh worker, from start to the end of its process tree."""

from __future__ import annotations

import io
import os
import re
import time
from pathlib import Path
from typing import Protocol

from mlsbench.sandbox.backend import Backend, Limits, worker_setup
from mlsbench.sandbox.channel import CandidateError, Channel, SandboxError, WorkerClosedError
from mlsbench.sandbox.frames import Contract, Layout

# Parts of torch that import hundreds of modules at their first use, which the lock forbids: they are loaded before, for
# a candidate whose text names one. Without them a worker is ready in half the time. A word too many costs a second.
_LAZY_PARTS = re.compile(
    r"\b(autograd|checkpoint|compiler?|distributions|func|jit|meta|optim|skip_init|testing|vmap)\b"
    r"|[dD]ispatch|deterministic|Transformer"
)
START_SECONDS = 120  # of our own code before the candidate arrives; beyond that the machine is at fault


def names_lazy_parts(text: str) -> bool:
    """Whether a candidate's text names a part of torch that must be loaded before the candidate is there."""
    return _LAZY_PARTS.search(text) is not None


class Session(Protocol):
    """A candidate that answers calls."""

    name: str

    @property
    def seconds(self) -> float:
        """Time that calls have taken so far, the exchange included."""

    def load(self, text: str) -> None:
        """Import and construct the candidate. Raises CandidateError, or SandboxError if the sandbox itself failed."""

    def layout(self, method: str, dims: dict[str, int]) -> Layout:
        """The buffers for calls of `method` under `dims`."""

    def call(self, layout: Layout) -> bool:
        """Answer `layout.inputs` in `layout.outputs` and `.gradients`; returns whether they are connected."""

    def finish(self) -> None:
        """Say that no call follows. Raises CandidateError if something was sent after the last reply."""

    def close(self) -> None:
        """End the worker's whole process tree; returns when it is gone. Calling it again does nothing."""


class WorkerSession:
    """A session in a worker. The worker starts at construction and gets ready while the caller does something else.

    lazy_parts: whether the candidate may use them, see `names_lazy_parts`.
    """

    def __init__(
        self, backend: Backend, contract: Contract, limits: Limits, log: Path, lazy_parts: bool = True
    ) -> None:
        self.name, self._limits, self._log = backend.name, limits, log
        self._left, self._contract = limits.job_seconds, contract
        self._channel: Channel | None = None
        # In memory and the worker's own: from the size of a file that two workers write to, one could read what the
        # other has seen. The worker's lock caps it.
        self._output = io.FileIO(os.memfd_create("output"), "r+")
        self._tree = backend.start(worker_setup(contract, limits, lazy_parts), self._output)

    def load(self, text: str) -> None:
        try:
            self._channel = Channel(self._tree.connect(START_SECONDS), self._contract)
            self._channel.wait_ready(START_SECONDS)
            self._channel.finish()  # a worker that ended by now did so without the candidate
        except (SandboxError, CandidateError) as error:
            raise SandboxError(f"{error}; it {self._tree.ended()}") from None
        try:
            self._channel.load(text, self._limits.start_seconds)
        except WorkerClosedError as error:
            raise self._closed(error) from None

    def layout(self, method: str, dims: dict[str, int]) -> Layout:
        return self._loaded.layout(method, dims)

    def call(self, layout: Layout) -> bool:
        if self._left <= 0:
            raise CandidateError(f"too slow: it used up its {self._limits.job_seconds:g} s for this job")
        started = time.monotonic()
        try:
            return self._loaded.call(layout, min(self._limits.call_seconds, self._left))
        except WorkerClosedError as error:
            raise self._closed(error) from None
        finally:
            self._left -= time.monotonic() - started

    def finish(self) -> None:
        try:
            self._loaded.finish()
        except WorkerClosedError as error:
            raise self._closed(error) from None

    def close(self) -> None:
        self._tree.kill()
        if self._channel is not None:
            self._channel.close()
        if not self._output.closed:
            with self._output, open(self._log, "ab") as log:
                log.write(os.pread(self._output.fileno(), self._limits.log_bytes, 0))

    @property
    def seconds(self) -> float:
        """Time that calls have taken so far, the exchange included."""
        return self._limits.job_seconds - self._left

    @property
    def _loaded(self) -> Channel:
        assert self._channel is not None, "a session answers once it is loaded"
        return self._channel

    def _closed(self, error: WorkerClosedError) -> CandidateError:
        return CandidateError(f"{error}: it {self._tree.ended()}")
