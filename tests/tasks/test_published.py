"""Claim: the published results are read as printed, and a malformed table is reported with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlsbench import UserError
from mlsbench.tasks import TaskFolder, open_task


def test_each_entry_has_a_row_for_each_benchmark_of_the_default_protocol(task: TaskFolder) -> None:
    rows = task.published()
    benchmarks = task.spec.protocols[task.spec.default_protocol].benchmarks
    assert [(row.row, row.benchmark) for row in rows] == [(n, b) for n in range(1, 16) for b in benchmarks]


def test_two_rows_of_one_name_stay_apart(task: TaskFolder) -> None:
    rows = [row for row in task.published() if row.name == "relaxloss" and row.benchmark == "resnet20-cifar10"]
    assert [(row.row, row.status, row.metrics["test_acc"]) for row in rows] == [
        (4, "scored", 0.888),
        (5, "collapsed", 0.104),
    ]


def test_exactly_the_missing_rows_have_no_numbers(task: TaskFolder) -> None:
    for row in task.published():
        assert all(value is None for value in row.metrics.values()) == (row.status == "missing")
        assert any(value is None for value in row.metrics.values()) == (row.status == "missing")


def test_every_published_score_follows_from_its_accuracy_and_auc(task: TaskFolder) -> None:
    for row in task.published():
        accuracy, auc, score = (row.metrics[name] for name in ("test_acc", "mia_auc", "privacy_score"))
        if accuracy is not None and auc is not None and score is not None:
            assert abs(score - (accuracy - max(auc - 0.5, 0))) < 0.0021  # means over seeds, each rounded


def test_every_published_baseline_ships_with_the_task(task: TaskFolder) -> None:
    published = {row.name for row in task.published() if row.type == "baseline"}
    assert published == {name for name, baseline in task.spec.baselines.items() if not baseline.control}


def test_a_task_without_published_results_has_no_rows(broken: Path) -> None:
    (broken / "published.csv").unlink()
    assert open_task(broken).published() == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("test_acc", "accuracy", r"published\.csv: its columns must be row, name"),
        ("0.884,", "high,", r"published\.csv, line 2: 1 mistake\n  metrics\.test_acc: "),
        (",scored", ",scored,1", r"published\.csv, line 2: has more cells than columns"),
        (",scored", "", r"published\.csv, line 2: 1 mistake\n  status: "),
        ("resnet20-cifar10", "resnet21", r"published\.csv, line 2: there is no benchmark 'resnet21'"),
    ],
)
def test_a_malformed_table_is_reported(broken: Path, old: str, new: str, expected: str) -> None:
    file = broken / "published.csv"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=expected):
        open_task(broken).published()
