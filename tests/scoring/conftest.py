"""Records for the tests of scoring, real ones with short-hand for what a test does not care about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlsbench.scoring import Column, Entry, Plan, Record, Setting

START = datetime(2026, 1, 1, tzinfo=UTC)


def _setting(**changes: Any) -> Setting:
    values: dict[str, Any] = {
        "task": "demo",
        "task_version": 1,
        "frozen": "f" * 64,
        "benchmark": "one",
        "model": "resnet20",
        "protocol": "paper",
        "seed": 42,
        "split_key": "a" * 64,
        "sandbox": "process",
        "device_kind": "cpu",
        "precision": "fp32",
        "torch": "2.6",
        "data": "d" * 64,
    }
    return Setting(**{**values, **changes})


def _record(
    score: float | None = 0.5, *, name: str = "erm", type: str = "baseline", submission: str = "1" * 64, **changes: Any
) -> Record:
    fields = {key: changes.pop(key) for key in ("status", "reason", "metrics") if key in changes}
    created = START + timedelta(minutes=changes.pop("minute", 0))
    setting = _setting(**changes)
    measured = {"acc": score, "auc": None if score is None else 1 - score}
    return Record(
        job_key=setting.job_key(submission),
        entry=Entry(name=name, type=type, submission=submission),
        setting=setting,
        **{"status": "scored", "metrics": measured, **fields},
        attempts=1,
        created=created,
    )


@pytest.fixture
def make_setting() -> Callable[..., Setting]:
    return _setting


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """make_record(score, name=…, benchmark=…, seed=…, status=…, minute=…): metrics acc = score and auc = 1 − score."""
    return _record


@pytest.fixture
def make_entry() -> Callable[..., list[Record]]:
    """make_entry(name, [[scores of benchmark one by seed 42, 43, …], [… of two]]); a score may be a dict of changes."""

    def make(name: str, scores: list[list[Any]], **changes: Any) -> list[Record]:
        records = []
        for benchmark, row in zip(("one", "two", "three"), scores, strict=False):
            for seed, score in enumerate(row, start=42):
                if score == "missing":
                    continue
                own = score if isinstance(score, dict) else {"score": score}
                records.append(_record(**{"name": name, "benchmark": benchmark, "seed": seed, **changes, **own}))
        return records

    return make


@pytest.fixture
def plan() -> Plan:
    """Benchmarks one and two, seeds 42 and 43, primary metric acc (more is better), and auc (less is better)."""
    columns = (Column("acc", "test acc", "max", primary=True), Column("auc", "mia auc", "min"))
    return Plan(("one", "two"), (42, 43), columns)
