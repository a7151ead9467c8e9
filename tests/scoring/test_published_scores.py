"""The published table follows the same formula: its rows reproduce their own privacy score."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import mlsbench
from mlsbench.scoring import privacy_score

PUBLISHED = Path(mlsbench.__file__).parent / "tasks/security-membership-inference-defense/published.csv"


def rows() -> list[dict[str, str]]:
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["privacy_score"]]


def test_the_published_table_has_its_numbers() -> None:
    assert len(rows()) == 43


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['row']}-{row['benchmark']}")
def test_a_published_score_follows_from_its_accuracy_and_auc(row: dict[str, str]) -> None:
    expected = privacy_score(float(row["test_acc"]), float(row["mia_auc"]))
    # three numbers rounded to 0.0005 each
    assert float(row["privacy_score"]) == pytest.approx(expected, abs=0.0015)
