"""The task is whole: its files fit together, and every baseline keeps the contract in a locked worker."""

import numpy as np
import pytest
from example_task import FOLDER

from mlsbench.harness.check import check
from mlsbench.harness.measure import Measure
from mlsbench.harness.variant import variant
from mlsbench.scoring.trained import Trained
from mlsbench.tasks import open_task, read_submission

TASK = open_task(FOLDER)


def trained(pool: int = 40, tested: int = 20, classes: int = 10) -> Trained:
    """What a model that knows nothing says, in the form that `measure` gets."""
    chance = np.random.default_rng(0)
    labels, test_labels = (chance.integers(classes, size=n) for n in (pool, tested))
    logits, test_logits = (chance.normal(size=(n, classes)).astype(np.float32) for n in (pool, tested))
    member = np.arange(pool) % 2 == 0
    return Trained(logits, labels, labels, member, np.zeros(pool, np.bool_), test_logits, test_labels)


def test_the_template_and_the_instruction_are_there() -> None:
    assert TASK.spec.contract.class_name in TASK.template()
    assert f"`{TASK.spec.contract.file}`" in TASK.instruction()
    assert [m.name for m in TASK.spec.metrics if f"`{m.name}`" not in TASK.instruction()] == []


def test_measure_gives_the_metrics_of_the_specification() -> None:
    names = [metric.name for metric in TASK.spec.metrics]
    assert list(Measure(TASK.measure(), names)(trained())) == names


@pytest.mark.parametrize("name", TASK.spec.baselines)
def test_a_baseline_keeps_the_contract(name: str) -> None:
    submission = read_submission(FOLDER / "baselines" / f"{name}.py", TASK)
    check(TASK.spec, submission, variant(TASK.spec, TASK.spec.default_protocol), "process")
