"""The local engine: each job in a process of its own, a few at once, packed onto this machine's devices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mlsbench.harness.attempt import Attempt
from mlsbench.harness.engine import STOP_SECONDS, Engine, Event, Listener, StoppedError
from mlsbench.harness.plan import Job

ROUNDING = 1e-6  # three thirds are one device


class LocalEngine(Engine):
    """Runs jobs on this machine, `parallel` at once at most, each on that of `devices` which has most room for it.

    `command` stands in for the process of a job.
    """

    def __init__(self, devices: Sequence[str], parallel: int, command: Sequence[str] = ()) -> None:
        super().__init__(parallel)
        self._command = command
        self._taken = dict.fromkeys(devices, 0.0)
        self._jobs = dict.fromkeys(devices, 0)
        self._room = threading.Condition()
        self._running: set[Attempt] = set()
        self._lock = threading.Lock()

    @contextmanager
    def _placed(self, job: Job) -> Iterator[Job]:
        with self._room:
            while (device := self._freest(job.gpu)) is None:
                self._room.wait(0.5)
                if self._stopped:
                    raise StoppedError
            self._taken[device] += job.gpu
            self._jobs[device] += 1
        try:
            yield job.model_copy(update={"device": device})
        finally:
            with self._room:
                self._taken[device] -= job.gpu
                self._jobs[device] -= 1
                self._room.notify_all()

    def _freest(self, share: float) -> str | None:
        """The device with most room left, if that is enough for `share`."""
        device = min(self._taken, key=lambda d: (self._taken[d], self._jobs[d]))
        return device if self._taken[device] + share <= 1 + ROUNDING else None

    def _attempt(self, job: Job, listener: Listener) -> str | None:
        listener(Event("start", job, {"attempt": job.attempt}))
        with self._lock:
            if self._stopped:
                raise StoppedError
            attempt = Attempt(job, self._command)
            self._running.add(attempt)
        try:
            with attempt:
                for news in attempt.news():
                    listener(Event("epoch", job, news))
        finally:
            with self._lock:
                self._running.discard(attempt)
        return attempt.failure()

    def _end_all(self) -> None:
        with self._lock:
            running = list(self._running)
        for attempt in running:
            attempt.hang_up()
        deadline = time.monotonic() + STOP_SECONDS
        for attempt in running:
            attempt.end(deadline)
