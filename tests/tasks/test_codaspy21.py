"""The protocols codaspy21 have the recipes of table 5 of Li, Li and Ribeiro (CODASPY 2021)."""

from __future__ import annotations

import pytest

from mlsbench.tasks import TaskFolder

CIFAR = {  # learning rate, epochs, schedule, batch size
    "alexnet": (0.01, 160, (80, 120), 128),
    "vgg16": (0.01, 160, (80, 120), 128),
    "resnet20": (0.1, 160, (80, 120), 128),
    "resnet110": (0.1, 160, (80, 120), 128),
    "densenet": (0.1, 300, (150, 225), 64),
}
TABLE_5 = [
    *(("codaspy21", f"{model}-{data}", values) for model, values in CIFAR.items() for data in ("cifar10", "cifar100")),
    ("codaspy21", "cnn-mnist", (0.01, 100, (), 128)),
    ("codaspy21-texas", "tabular-texas100", (0.001, 100, (), 100)),
    ("codaspy21-purchase", "tabular-purchase100", (0.001, 100, (), 100)),
]


def test_the_rows_of_the_table_are_the_benchmarks_of_the_protocols(task: TaskFolder) -> None:
    for name in ("codaspy21", "codaspy21-texas", "codaspy21-purchase"):
        rows = {benchmark for protocol, benchmark, _ in TABLE_5 if protocol == name}
        assert set(task.spec.protocols[name].benchmarks) == rows


@pytest.mark.parametrize(("protocol", "benchmark", "values"), TABLE_5)
def test_a_recipe_is_that_of_the_table(
    protocol: str, benchmark: str, values: tuple[float, int, tuple[int, ...], int], task: TaskFolder
) -> None:
    training = task.spec.training(protocol, benchmark)
    assert (training.lr, training.epochs, training.milestones, training.batch) == values
    assert training.schedule == "steps"


@pytest.mark.parametrize(("protocol", "benchmark", "values"), TABLE_5)
def test_there_are_examples_enough_for_a_validation_set_of_the_members_size(
    protocol: str, benchmark: str, values: object, task: TaskFolder
) -> None:
    members = task.spec.protocols[protocol].members
    assert members == (20_000 if benchmark.endswith("purchase100") else 10_000)
    assert 3 * members <= task.spec.datasets[task.spec.benchmarks[benchmark].dataset].train
