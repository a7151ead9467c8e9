"""A job's process: reads the job from standard input, runs it, writes its record; progress goes to standard output.

Exit status: 0 with a record written, 2 after a mistake that the user can mend, anything else is ours.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlsbench import UserError
from mlsbench.harness.measure import MeasureError
from mlsbench.harness.plan import Job
from mlsbench.harness.session import open_session
from mlsbench.sandbox.backend import Backend
from mlsbench.sandbox.delegate import Delegate

MACHINE_FAILED = 3  # exit status of what runs a job; the last line of its standard error says all there is to say
Report = Callable[[dict[str, Any]], None]


def main() -> None:
    """Run the job that stands on standard input's first line. The process ends when standard input does.

    With a folder and a mask of permissions, in octal, as its arguments the job runs in a container: whoever is at the
    other end of the standard streams starts and ends workers, which come to that folder.
    """
    started = time.monotonic()
    line = sys.stdin.buffer.readline()
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(answers,), daemon=True).start()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no progress

    def report(event: dict[str, Any]) -> None:
        out.write(json.dumps(event) + "\n")
        out.flush()

    def tell(wish: dict[str, Any]) -> None:
        report({"wish": wish})

    def ask(wish: dict[str, Any]) -> Any:
        tell(wish)
        return answers.get()

    job = Job.model_validate_json(line)
    delegate = None
    if len(sys.argv) > 1:
        os.umask(int(sys.argv[2], 8))
        delegate = Delegate(job.setting.sandbox, Path(sys.argv[1]), tell, ask)
    try:
        run(job, report, started, delegate)
    except UserError as error:
        report({"error": str(error)})
        raise SystemExit(2) from None
    except MeasureError as error:  # the task is at fault, never the candidate
        traceback.print_exc()
        sys.stderr.write(f"{error}\n")
        raise SystemExit(MACHINE_FAILED) from None


def run(job: Job, report: Report, started: float, delegate: Backend | None = None) -> None:
    """Run `job` in its sandbox, or by `delegate`; its record stands in its folder afterwards.

    `report` gets an event after each epoch. Both workers start first and get ready while this process imports torch.
    """
    gc.disable()  # a sixth of what the imports take; nothing of them is garbage
    job.folder.mkdir(parents=True, exist_ok=True)
    sandbox, log = delegate or job.setting.sandbox, free_name(job.folder / "worker.log")
    opened = open_session(job.spec, sandbox, log, job.text)
    with open_session(job.spec, sandbox, log, job.text) as probe_session, opened as session:
        if job.spec.procedure == "attack":
            from mlsbench.harness.attack import execute
        else:
            from mlsbench.harness.execute import execute

        gc.enable()
        gc.freeze()
        execute(job, probe_session, session, report, started)


def free_name(path: Path) -> Path:
    """`path`, after what stood there was moved to a numbered name: an earlier attempt's log stays."""
    if os.path.lexists(path):  # a link that leads nowhere, too: nothing is written through it
        number = 1
        while os.path.lexists(kept := path.with_name(f"{path.stem}.{number}{path.suffix}")):
            number += 1
        path.rename(kept)
    return path


def _listen(answers: queue.SimpleQueue[Any]) -> None:
    """Collect the answers to wishes. The driver keeps our standard input open as long as it lives, however it dies."""
    rest = b""
    while data := os.read(0, 1 << 16):  # not sys.stdin, whose lock would outlive this thread
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            answers.put(json.loads(line))
    os._exit(130)


if __name__ == "__main__":
    main()
