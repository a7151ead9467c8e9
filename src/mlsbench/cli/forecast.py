"""How long a plan of jobs will still take, from the speed that it has shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from mlsbench.harness.plan import Job

START_MS = 5000  # of a job, roughly, beside its training: what small jobs take says little about large ones


@dataclass
class _Running:
    job: Job
    since: float
    seconds: float | None = None  # for the whole job, as its own epochs say


class Forecast:
    """Told when jobs start, get on and end, it says how long the rest will take.

    A job takes what others of its benchmark took. If none of them is measured, it takes the measured seconds for a unit
    of work of the other benchmarks; units are those of the specification's rough estimates.
    """

    def __init__(self, jobs: Sequence[Job], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting = {_identity(job): job for job in jobs}
        self._running: dict[str, _Running] = {}
        self._speeds: dict[str, list[float]] = {}  # seconds for a unit of work, by benchmark
        self._most = 1

    def start(self, job: Job) -> None:
        """`job` runs; again, if an earlier attempt of it failed."""
        self._waiting.pop(_identity(job), None)
        self._running[_identity(job)] = _Running(job, self._clock())
        self._most = max(self._most, len(self._running))

    def epoch(self, job: Job, left_seconds: float) -> None:
        """`job` says how long it will still take."""
        running = self._running[_identity(job)]
        running.seconds = self._clock() - running.since + left_seconds

    def end(self, job: Job, trained: bool) -> None:
        """`job` is over. Only one that was `trained` to its end tells how long others take."""
        self._waiting.pop(_identity(job), None)
        running = self._running.pop(_identity(job), None)
        if running and trained:
            speed = (self._clock() - running.since) / _work(job)
            self._speeds.setdefault(job.setting.benchmark, []).append(speed)

    def left(self) -> float | None:
        """Seconds until the last job ends; None while nothing is measured."""
        speeds = dict(self._speeds)
        for running in self._running.values():
            if running.seconds is not None and running.job.setting.benchmark not in self._speeds:
                speeds.setdefault(running.job.setting.benchmark, []).append(running.seconds / _work(running.job))
        if not speeds:
            return None
        by_benchmark = {name: fmean(of) for name, of in speeds.items()}
        other = fmean(by_benchmark.values())

        def whole(job: Job) -> float:
            return by_benchmark.get(job.setting.benchmark, other) * _work(job)

        now = self._clock()
        on = [max((r.seconds or whole(r.job)) - (now - r.since), 0) for r in self._running.values()]
        total = sum(on) + sum(whole(job) for job in self._waiting.values())
        return max([total / self._most, *on])


def _work(job: Job) -> float:
    """Units of work of a whole job."""
    return START_MS + job.cpu_ms


def _identity(job: Job) -> str:
    # Not its folder, which another job may have taken before this one starts.
    return f"{job.entry.model_dump_json()} {job.setting.job_key(job.entry.submission)}"
