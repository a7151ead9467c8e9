"""A job's process: reads the job from standard input, runs it, writes its record; progress goes to standard output.

Exit status: 0 with a record written, 2 after a mistake that the user can mend, anything else is ours.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlsbench import UserError
from mlsbench.harness.plan import Job
from mlsbench.sandbox.backend import Limits
from mlsbench.sandbox.choose import BACKENDS
from mlsbench.sandbox.frames import Array, Contract, Method
from mlsbench.sandbox.session import Session, WorkerSession
from mlsbench.tasks import Task

Report = Callable[[dict[str, Any]], None]


def main() -> None:
    """Run the job that stands on standard input's first line. The process ends when standard input does."""
    started = time.monotonic()
    line = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no progress

    def report(event: dict[str, Any]) -> None:
        out.write(json.dumps(event) + "\n")
        out.flush()

    job = Job.model_validate_json(line)
    try:
        run(job, report, started)
    except UserError as error:
        report({"error": str(error)})
        raise SystemExit(2) from None


def run(job: Job, report: Report, started: float) -> None:
    """Run `job`; its record stands in its folder afterwards. `report` gets an event after each epoch.

    Both workers start first and get ready while this process imports torch.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    log = free_name(job.folder / "worker.log")
    with open_session(job, log) as probe_session, open_session(job, log) as session:
        from mlsbench.harness.execute import execute

        execute(job, probe_session, session, report, started)


@contextmanager
def open_session(job: Job, log: Path) -> Iterator[Session]:
    """A session of the job's sandbox; its process tree is gone at the end."""
    session: Session
    if job.setting.sandbox == "inprocess":
        from mlsbench.sandbox.inprocess import InProcessSession

        session = InProcessSession(wire_contract(job.spec))
    else:
        backend = next(b for b in BACKENDS if b.name == job.setting.sandbox)
        session = WorkerSession(backend, wire_contract(job.spec), limits(job.spec), log)
    try:
        yield session
    finally:
        session.close()


def wire_contract(spec: Task) -> Contract:
    """The contract of a task's specification in the form that the sandbox speaks."""
    methods = []
    for name, method in spec.contract.methods.items():
        sides = [tuple(Array(a.name, a.dtype, a.shape, a.gradient) for a in s) for s in (method.inputs, method.outputs)]
        methods.append(Method(name, *sides))
    return Contract(spec.contract.class_name, tuple(methods), spec.contract.modules)


def limits(spec: Task) -> Limits:
    """A worker's limits in seconds and bytes."""
    given = spec.limits
    return Limits(
        given.call_seconds, given.start_seconds, given.job_seconds, given.memory_mib << 20, given.log_kib << 10
    )


def free_name(path: Path) -> Path:
    """`path`, after what stood there was moved to a numbered name: an earlier attempt's log stays."""
    if path.exists():
        number = 1
        while (kept := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
            number += 1
        path.rename(kept)
    return path


def _end_with_parent() -> None:
    # The driver keeps our standard input open as long as it lives, however it dies.
    while os.read(0, 1 << 16):
        pass
    os._exit(130)


if __name__ == "__main__":
    main()
