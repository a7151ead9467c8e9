"""A job of the set defense trains on digits with the same third of the pool apart under every seed, and keeps which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlsbench.tasks import get_task

pytestmark = pytest.mark.slow

TASK = get_task("security-membership-inference-set-defense").spec
SMALL = ("--benchmark", "resnet20-digits", "--override", "epochs=1", "--override", "members=64", "--device", "cpu")


@pytest.fixture(scope="module")
def records(mlsbench_run: Any, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("baselines")
    choice = ("--protocol", "smoke", *SMALL, "--sandbox", "process", "--runs", "runs")
    mlsbench_run("baselines", TASK.id, "--only", "mmd_mixup", *choice, cwd=folder)
    return [(path.parent, json.loads(path.read_text())) for path in sorted(folder.glob("runs/**/record.json"))]


def test_it_has_all_metrics_and_an_audit(records: list[tuple[Path, dict[str, Any]]]) -> None:
    assert [record["setting"]["seed"] for _, record in records] == [42, 43]
    for folder, record in records:
        assert record["status"] in ("scored", "collapsed"), record["reason"]
        assert list(record["metrics"]) == [metric.name for metric in TASK.metrics]
        assert all(isinstance(value, float) for value in record["metrics"].values())
        assert -0.5 <= record["metrics"]["validation_advantage"] <= 0.5
        assert record["audit"]["largest_advantage"] is not None
        assert "validation_advantage" in (folder / "curve.csv").read_text().splitlines()[0]


def test_members_non_members_and_validation_examples_are_disjoint_thirds(
    records: list[tuple[Path, dict[str, Any]]],
) -> None:
    masks = {}
    for folder, record in records:
        with np.load(folder / "scores.npz", allow_pickle=False) as kept:
            masks[record["setting"]["seed"]] = kept["member"], kept["validation"]
    for member, validation in masks.values():
        assert (len(member), member.sum(), validation.sum()) == (192, 64, 64)
        assert not (member & validation).any()
    assert np.array_equal(masks[42][1], masks[43][1])
    assert np.array_equal(masks[42][0] | masks[43][0], ~masks[42][1])
    assert not (masks[42][0] & masks[43][0]).any()
