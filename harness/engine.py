"""What all engines share: claims, attempts and records of jobs. One engine differs from another in where a job runs."""

from __future__ import annotations

import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlsbench.harness.claim import ClaimedError, claimed
from mlsbench.harness.measure import AT_FAULT
from mlsbench.harness.plan import Job
from mlsbench.scoring.record import RECORD_FILE, Record, Stored, read_record, write_record

ATTEMPTS = 3  # of which all but the first answer to failures of ours, with the same seed
CLAIM_SECONDS = 0.5  # between two looks at a model that another process is training
STOP_SECONDS = 20  # for jobs to end by themselves: containers take a second or two


@dataclass(frozen=True)
class Event:
    """News of a job. `kind`: start, epoch, retry or gave up (both with a reason in `data`), end (with the record)."""

    kind: str
    job: Job
    data: dict[str, Any]
    record: Record | None = None


class StoppedError(Exception):
    """The engine was told to stop before this job had ended."""


Listener = Callable[[Event], None]


class Engine(ABC):
    """Runs jobs, `parallel` at once at most."""

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._stopped = False
        self._lasting: set[str] = set()  # reasons for which a job was given up: the next one need not find out again

    def run(self, jobs: Sequence[Job], listener: Listener) -> list[Stored]:
        """Run `jobs`; returned are their records, in order. `listener` is called from several threads.

        When interrupted, or when a job meets a mistake that its user must mend (UserError), it ends all running jobs
        with their workers and passes the exception on; what was running leaves no record. So it does after `stop`.
        """
        done: queue.SimpleQueue[Future[Stored]] = queue.SimpleQueue()
        with ThreadPoolExecutor(self._parallel) as pool:
            try:
                futures = [pool.submit(self._claim_and_run, job, listener) for job in jobs]
                for future in futures:
                    future.add_done_callback(done.put)
                left = len(futures)
                while left:
                    if self._stopped:
                        raise StoppedError
                    try:
                        done.get(timeout=0.5).result()  # a wait without end would not see Ctrl-C
                    except queue.Empty:
                        continue
                    left -= 1
                return [future.result() for future in futures]
            except BaseException:
                self._stopped = True
                self._end_all()
                pool.shutdown(cancel_futures=True)
                raise

    def stop(self) -> None:
        """From another thread: `run` ends all running jobs with their workers and raises StoppedError."""
        self._stopped = True

    @abstractmethod
    def _attempt(self, job: Job, listener: Listener) -> str | None:
        """Run the job once, with a start event and those of its epochs; None if its record stands, else why not.

        Raises UserError, or StoppedError when the engine has stopped meanwhile.
        """

    @abstractmethod
    def _end_all(self) -> None:
        """End all running jobs with all their processes; after `_stopped` is set, no other starts."""

    @contextmanager
    def _placed(self, job: Job) -> Iterator[Job]:
        """`job` where it may run: by default wherever that is decided later."""
        yield job

    def _claim_and_run(self, job: Job, listener: Listener) -> Stored:
        with self._placed(job) as placed, self._claimed(placed) as mine:
            record = mine.finished() or self._run(mine, listener)
            listener(Event("end", mine, {}, record))
            return Stored(mine.folder / RECORD_FILE, record)

    @contextmanager
    def _claimed(self, job: Job) -> Iterator[Job]:
        """As `claimed`, but a model for attacks is waited for while another command trains it for its own."""
        with ExitStack() as claim:
            while True:
                try:
                    mine = claim.enter_context(claimed(job))
                    break
                except ClaimedError:
                    if not job.attacked:
                        raise
                if self._stopped:
                    raise StoppedError
                time.sleep(CLAIM_SECONDS)
            yield mine

    def _run(self, job: Job, listener: Listener) -> Record:
        if missing := _untrained(job):
            listener(Event("gave up", job, {"reason": missing}))
            return _infra_failed(job, missing)
        for attempt in range(1, ATTEMPTS + 1):
            current = job.model_copy(update={"attempt": attempt})
            reason = self._attempt(current, listener)
            if reason is None:
                return read_record(job.folder / RECORD_FILE)
            if self._stopped:
                raise StoppedError
            last = attempt == ATTEMPTS or reason in self._lasting or reason.startswith(AT_FAULT)
            listener(Event("gave up" if last else "retry", current, {"reason": reason}))
            if last:
                break
        self._lasting.add(str(reason))
        return _infra_failed(current, str(reason))


def _untrained(job: Job) -> str:
    """Why a model that `job` attacks is none, "" if all are: that is never the attack's fault."""
    for number, model in enumerate(job.models):
        record, what = model.finished(), "reference" if number else "target"
        if record is None or record.status != "scored":
            why = record.reason if record else "it has no record"
            return f"the {what} of seed {model.setting.seed} is no trained model, {why}; see {model.folder}"
    return ""


def _infra_failed(job: Job, reason: str) -> Record:
    record = Record(
        job_key=job.setting.job_key(job.entry.submission), entry=job.entry, setting=job.setting, status="infra_failed",
        reason=reason, metrics={}, attempts=job.attempt, created=datetime.now(UTC),
    )  # fmt: skip
    write_record(job.folder, record)
    return record
