"""The local engine: each job in a process of its own, a few at once; what fails on our side is tried again."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlsbench import UserError
from mlsbench.harness.claim import claimed
from mlsbench.harness.job import MACHINE_FAILED, free_name
from mlsbench.harness.plan import Job
from mlsbench.harness.remedies import remedied
from mlsbench.sandbox.choose import backend
from mlsbench.scoring.record import RECORD_FILE, Record, Stored, read_record, write_record

ATTEMPTS = 3  # of which all but the first answer to failures of ours, with the same seed
USER_MISTAKE = 2  # exit status of a job
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


class LocalEngine:
    """Runs jobs on this machine, `parallel` at once, each on one of `devices` in turn."""

    def __init__(self, devices: Sequence[str], parallel: int) -> None:
        self._parallel = parallel
        self._devices: queue.SimpleQueue[str] = queue.SimpleQueue()
        for slot in range(parallel):
            self._devices.put(devices[slot % len(devices)])
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._lasting: set[str] = set()  # reasons for which a job was given up: the next one need not find out again

    def run(self, jobs: Sequence[Job], listener: Listener) -> list[Stored]:
        """Run `jobs`; returned are their records, in order. `listener` is called from several threads.

        When interrupted, or when a job meets a mistake that its user must mend (UserError), it ends all running jobs
        with their workers and passes the exception on; what was running leaves no record.
        """
        with ThreadPoolExecutor(self._parallel) as pool:
            try:
                futures = [pool.submit(self._claim_and_run, job, listener) for job in jobs]
                waiting = set(futures)
                while waiting:
                    # A short time-out, because a wait without end would not see Ctrl-C.
                    done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                return [future.result() for future in futures]
            except BaseException:
                self._stop()
                pool.shutdown(cancel_futures=True)
                raise

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()  # which it takes as an order to end, with all that belongs to it
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):  # it may have ended by itself this moment
                    os.killpg(process.pid, signal.SIGKILL)

    def _claim_and_run(self, job: Job, listener: Listener) -> Stored:
        device = self._devices.get()
        try:
            with claimed(job) as mine:
                record = mine.finished() or self._run(mine.model_copy(update={"device": device}), listener)
                listener(Event("end", mine, {}, record))
                return Stored(mine.folder / RECORD_FILE, record)
        finally:
            self._devices.put(device)

    def _run(self, job: Job, listener: Listener) -> Record:
        for attempt in range(1, ATTEMPTS + 1):
            current = job.model_copy(update={"attempt": attempt})
            listener(Event("start", current, {"attempt": attempt}))
            reason = self._attempt(current, listener)
            if reason is None:
                return read_record(job.folder / RECORD_FILE)
            if self._stopped:
                raise StoppedError
            last = attempt == ATTEMPTS or reason in self._lasting
            listener(Event("gave up" if last else "retry", current, {"reason": reason}))
            if last:
                break
        self._lasting.add(str(reason))
        return _infra_failed(current, str(reason))

    def _attempt(self, job: Job, listener: Listener) -> str | None:
        """Run the job once; None if its record stands, else why not."""
        log = free_name(job.folder / "job.log")
        with log.open("wb") as errors, self._start(job, errors) as process:
            try:
                mistake = self._follow(process, job, listener)
            finally:
                with self._lock:
                    self._running.discard(process)
        if mistake is not None:
            raise UserError(mistake)
        text = log.read_text(errors="replace").strip()
        if not text:
            log.unlink()
        if process.returncode == 0 or _stands(job):
            return None
        last = text.splitlines()[-1] if text else "it left no message"
        if process.returncode == MACHINE_FAILED:
            return last
        return f"the job's process {_ending(process.returncode)}: {remedied(last)}"

    def _start(self, job: Job, errors: Any) -> subprocess.Popen[bytes]:
        # Threads that spin long while they wait made two-thread training up to thirty times slower on a busy machine;
        # threads that do not spin at all make it up to three times slower on an idle one.
        environment = {"GOMP_SPINCOUNT": "1000", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} | os.environ
        environment |= {"OMP_NUM_THREADS": str(job.threads), "MKL_NUM_THREADS": str(job.threads)}
        if job.deterministic:
            environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        with self._lock:
            if self._stopped:
                raise StoppedError
            # Its own session: Ctrl-C is for us, and the whole group can be ended. -P: nothing is imported from the
            # current folder, which may be one that an agent wrote.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", _module(job)], env=environment, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
            self._running.add(process)
        return process

    def _follow(self, process: subprocess.Popen[bytes], job: Job, listener: Listener) -> str | None:
        """Hand the job over and its news on until it ends; returns the mistake that it reports, if any."""
        assert process.stdin is not None
        assert process.stdout is not None
        mistake = None
        try:
            process.stdin.write(job.model_dump_json().encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once; its status and log tell
        for line in process.stdout:
            event = json.loads(line)
            if "error" in event:
                mistake = str(event["error"])
            else:
                listener(Event("epoch", job, event))
        process.wait()
        return mistake if process.returncode == USER_MISTAKE else None


def _stands(job: Job) -> bool:
    """Whether what went wrong did so after the job's numbers were there. A failure that was recorded just before may be
    the work of what went wrong, and is looked into again."""
    record = job.finished()
    return record is not None and record.status in ("scored", "collapsed")


def _module(job: Job) -> str:
    """What runs the job: itself, or who starts it in a container."""
    sandbox = job.setting.sandbox
    contained = sandbox != "inprocess" and backend(sandbox).holds_trainer
    return "mlsbench.harness.supervisor" if contained else "mlsbench.harness.job"


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    return f"was ended by {name}" + (", perhaps for want of memory" if -status == signal.SIGKILL else "")


def _infra_failed(job: Job, reason: str) -> Record:
    record = Record(
        job_key=job.setting.job_key(job.entry.submission), entry=job.entry, setting=job.setting, status="infra_failed",
        reason=reason, metrics={}, attempts=job.attempt, created=datetime.now(UTC),
    )  # fmt: skip
    write_record(job.folder, record)
    return record
