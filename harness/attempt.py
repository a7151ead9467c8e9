"""One attempt at a job: its process, the news that it sends, and what its end means."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from mlsbench import UserError
from mlsbench.harness.job import MACHINE_FAILED, free_name
from mlsbench.harness.plan import Job
from mlsbench.harness.remedies import remedied
from mlsbench.sandbox.choose import backend

USER_MISTAKE = 2  # exit status of a job


class Attempt:
    """A job's process, from its start; a context manager at whose end it is gone.

    `command` stands in for the job's own: it gets the same job on standard input. Its errors go to `job.log` in the
    job's folder, beside those of earlier attempts.
    """

    def __init__(self, job: Job, command: Sequence[str] = ()) -> None:
        self._job = job
        self._mistake: str | None = None
        self._log = free_name(job.folder / "job.log")
        # Threads that spin long while they wait made two-thread training up to thirty times slower on a busy machine;
        # threads that do not spin at all make it up to three times slower on an idle one.
        environment = {"GOMP_SPINCOUNT": "1000", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} | os.environ
        environment |= {"OMP_NUM_THREADS": str(job.threads), "MKL_NUM_THREADS": str(job.threads)}
        if job.deterministic:
            environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        with self._log.open("wb") as errors:
            # Its own session: Ctrl-C is for us, and the whole group can be ended. -P: nothing is imported from the
            # current folder, which may be one that an agent wrote.
            self._process = subprocess.Popen(
                command or [sys.executable, "-P", "-m", _module(job)], env=environment, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip

    def __enter__(self) -> Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)

    def news(self) -> Iterator[dict[str, Any]]:
        """Hand the job over and give the news of its epochs until it ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(self._job.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once; its status and log tell
        for line in self._process.stdout:
            event = json.loads(line)
            if "error" in event:
                self._mistake = str(event["error"])
            else:
                yield event
        self._process.wait()

    def failure(self) -> str | None:
        """After the end: None if the job's record stands, else why not. Raises UserError for its user's mistake."""
        status = self._process.returncode
        if self._mistake is not None and status == USER_MISTAKE:
            raise UserError(self._mistake)
        text = self._log.read_text(errors="replace").strip()
        if not text:
            self._log.unlink()
        if status == 0 or _stands(self._job):
            return None
        last = text.splitlines()[-1] if text else "it left no message"
        return last if status == MACHINE_FAILED else f"the job's process {_ending(status)}: {remedied(last)}"

    def hang_up(self) -> None:
        """Close its standard input, which it takes as an order to end, with all that belongs to it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def end(self, deadline: float) -> None:
        """Wait for its end, and kill it at the moment `deadline` of the monotonic clock."""
        try:
            self._process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself this moment
                os.killpg(self._process.pid, signal.SIGKILL)


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
