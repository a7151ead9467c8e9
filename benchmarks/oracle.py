"""What isolation costs: microseconds a call in process and through each backend, and seconds to start.

    python benchmarks/oracle.py [--calls 2000]

Backends that do not work here are left out. One thread on both sides, batch 128. The calls of all backends are
interleaved in rounds, so that what else the machine does hits all of them alike; the figures are medians. "adds" is the
difference to in process. The smallest job has one epoch of 64 images: what it takes is the start of the job's process,
of its workers and of torch.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import torch

from mlsbench.harness.local import LocalEngine
from mlsbench.harness.oracle import METHOD, Oracle
from mlsbench.harness.plan import Machine, plan
from mlsbench.harness.session import open_session, wire_method
from mlsbench.harness.split import read_key
from mlsbench.harness.variant import variant
from mlsbench.sandbox.choose import BACKENDS
from mlsbench.scoring.record import Entry
from mlsbench.tasks import TaskFolder, baseline_path, get_task, read_submission

TASK = "security-membership-inference-defense"
BATCH, ROUNDS, STARTS = 128, 10, 5


def main() -> None:
    """Measure and print one table of calls and one of starts."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--calls", type=int, default=2000, help="calls of each backend, loss and size")
    calls = options.parse_args().calls
    torch.set_num_threads(1)
    task = get_task(TASK)
    names = ["inprocess", *(b.name for b in BACKENDS if b.unavailable() is None)]
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, {platform.release()}\n"
    )
    print(
        "| loss | logits | "
        + " | ".join(f"{n}, µs" for n in names)
        + " | "
        + " | ".join(f"{n} adds" for n in names[1:])
        + " |"
    )
    print("|---" * (2 + 2 * len(names) - 1) + "|")
    for loss in ("erm", "relaxloss"):
        text = read_submission(baseline_path(TASK, loss), task).text
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            sessions = {n: stack.enter_context(open_session(task.spec, n, Path(folder) / n)) for n in names}
            oracles = {}
            for name, session in sessions.items():
                session.load(text)
                oracles[name] = Oracle(session, wire_method(task.spec, METHOD))
            for classes in (10, 100):
                medians = {n: statistics.median(t) * 1e6 for n, t in _times(oracles, classes, calls).items()}
                base = medians["inprocess"]
                cells = [f"{medians[n]:.0f}" for n in names] + [f"{medians[n] - base:.0f}" for n in names[1:]]
                print(f"| {loss} | {BATCH}×{classes} | " + " | ".join(cells) + " |")
    print(f"\nMedians of {STARTS}, in seconds:\n")
    print("| backend | worker's start to first answer | smallest job |\n|---|---|---|")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            first = statistics.median(_start(task, name, folder) for _ in range(STARTS)) if name != names[0] else 0
            job = statistics.median(_job(task, name, Path(folder) / str(i)) for i in range(STARTS))
            print(f"| {name} | {first:.2f} | {job:.2f} |")


def _times(oracles: dict[str, Oracle], classes: int, calls: int) -> dict[str, list[float]]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(BATCH, classes, generator=generator)
    labels = torch.randint(classes, (BATCH,), generator=generator)
    times: dict[str, list[float]] = {name: [] for name in oracles}
    for _ in range(ROUNDS):
        for name, oracle in oracles.items():
            for call in range(calls // ROUNDS + 10):
                started = time.perf_counter()
                oracle(logits=logits, labels=labels, epoch=call % 2)
                if call >= 10:  # the first ones find cold caches
                    times[name].append(time.perf_counter() - started)
    return times


def _start(task: TaskFolder, name: str, folder: str) -> float:
    text = read_submission(baseline_path(TASK, "erm"), task).text
    started = time.perf_counter()
    with open_session(task.spec, name, Path(folder) / "log", text) as session:
        session.load(text)
        oracle = Oracle(session, wire_method(task.spec, METHOD))
        oracle(logits=torch.zeros(BATCH, 10), labels=torch.zeros(BATCH, dtype=torch.int64), epoch=0)
        return time.perf_counter() - started


def _job(task: TaskFolder, name: str, runs: Path) -> float:
    submission = read_submission(baseline_path(TASK, "erm"), task)
    entry = Entry(name="erm", type="baseline", submission=submission.sha256)
    chosen = variant(task.spec, "smoke", ["epochs=1", "members=64", "batch=16"])
    machine = Machine(name, "cpu", "fp32", 1)
    jobs = plan(task, submission, entry, chosen, machine, read_key("public"), runs, ["resnet20-digits"], [42])
    started = time.perf_counter()
    (stored,) = LocalEngine(["cpu"], 1).run(jobs, lambda event: None)
    assert stored.record.status in ("scored", "collapsed"), stored.record.reason
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
