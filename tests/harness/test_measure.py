"""A mistake of a task's measure.py is told as the task's, with the line, and never charged to a candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlsbench.harness.attempt import Attempt
from mlsbench.harness.measure import Measure, MeasureError
from mlsbench.harness.plan import Machine, plan
from mlsbench.harness.split import read_key
from mlsbench.harness.variant import variant
from mlsbench.scoring.record import Entry
from mlsbench.tasks import baseline_path, get_task, read_submission

TASK = get_task("security-poison-robust-learning")


def measured(body: str, result: Any = 1) -> dict[str, float | None]:
    return Measure(f"def measure(model):\n    {body}\n", ["a", "b"])(result)


def test_the_metrics_come_in_the_specifications_order() -> None:
    assert list(measured('return {"b": 2, "a": model}').items()) == [("a", 1.0), ("b", 2.0)]


def test_none_stands_for_no_number() -> None:
    assert measured('return {"b": None, "a": 1}')["b"] is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0", r"raised ZeroDivisionError: division by zero \(line 2\)"),
        ("return {'a': 1}", r"measure\.py gave a, not a, b"),
        ("return {'a': 1, 'b': 2, 'c': 3}", r"gave a, b, c, not a, b"),
        ("return 0.5", "gave float, not a, b"),
        ("return {'a': 1, 'b': float('nan')}", "gave nan for b; None stands for no number"),
        ("return {'a': 1, 'b': float('inf')}", "gave inf for b"),
        ("return {'a': 1, 'b': 1e10}", "a metric is from -1e"),
        ("raise SystemExit(0)", "raised SystemExit"),
        ("raise ValueError('one\\ntwo')", "raised ValueError: one two"),
        ("return {'a': 1, 'b': [1, 2]}", "raised TypeError: float"),
        ("return (", r"raised SyntaxError: .*line 2"),
        ("pass\n1 / 0", r"raised ZeroDivisionError: division by zero \(line 3\)"),
        ("pass\nimport no_such_module", r"raised ModuleNotFoundError: .* \(line 3\)"),
        ("pass\nmeasure = 1", "defines no function measure"),
    ],
)
def test_a_mistake_is_told_with_its_place(body: str, message: str) -> None:
    with pytest.raises(MeasureError, match=message):
        measured(body)


def test_a_measure_that_raises_is_not_the_candidates_failure(tmp_path: Path) -> None:
    submission = read_submission(baseline_path(TASK.spec.id, "cross_entropy"), TASK)
    entry = Entry(name="mine", type="vanilla", submission=submission.sha256)
    chosen = variant(TASK.spec, "smoke", ["members=64", "epochs=1"])
    machine, key = Machine("process", "cpu", "fp32", 1), read_key("public")
    (job,) = plan(TASK, submission, entry, chosen, machine, key, tmp_path, ["resnet20-digits"], [42])
    broken = job.model_copy(update={"measure": "def measure(model):\n    return {'test_acc': model.test_accuracy}\n"})
    job.folder.mkdir(parents=True)
    with Attempt(broken) as attempt:
        list(attempt.news())
    reason = attempt.failure()  # of which an engine makes infra_failed
    assert reason is not None
    assert reason.startswith("the task's measure.py raised AttributeError: 'Trained' object has no ")
    assert reason.endswith("(line 2)")
    assert "Traceback" in (job.folder / "job.log").read_text()
    assert not (job.folder / "record.json").exists()
