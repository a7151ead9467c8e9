"""Claim: every baseline of every task that trains with a loss runs on `smoke`, to a record with all metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlsbench.harness.job import run
from mlsbench.harness.plan import Machine, plan
from mlsbench.harness.split import read_key
from mlsbench.harness.variant import variant
from mlsbench.scoring.record import Entry, read_record
from mlsbench.tasks import baseline_path, get_task, list_tasks, read_submission

pytestmark = pytest.mark.slow

TASKS = [task for task in map(get_task, list_tasks()) if task.spec.procedure == "loss"]
BASELINES = [(task.spec.id, name) for task in TASKS for name in task.spec.baselines]


@pytest.mark.parametrize(("task_id", "name"), BASELINES)
def test_a_baseline_runs_on_smoke(task_id: str, name: str, tmp_path: Path) -> None:
    task = get_task(task_id)
    candidate = read_submission(baseline_path(task_id, task.spec.baselines[name].submission or name), task)
    entry = Entry(name=name, type="baseline", submission=candidate.sha256)
    chosen = variant(task.spec, "smoke", ["epochs=1", "members=32", "batch=16"])
    machine = Machine(sandbox="inprocess", device_kind="cpu", precision="fp32", threads=1)
    where = (read_key("public"), tmp_path, chosen.benchmarks[:1], (42,))
    (job,) = plan(task, candidate, entry, chosen, machine, *where)
    run(job, lambda event: None, 0.0)
    record = read_record(job.folder / "record.json")
    assert record.status in ("scored", "collapsed"), record.reason  # one epoch of two batches teaches nothing
    assert list(record.metrics) == [metric.name for metric in task.spec.metrics]
    assert all(value is not None for value in record.metrics.values())
