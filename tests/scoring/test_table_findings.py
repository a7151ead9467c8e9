"""What the audit says stands beside the score in every format, and never changes it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from mlsbench.scoring import Column, Plan, Record, aggregate, render

TEXT = "members are less confident than non-members"


@pytest.fixture
def records(make_entry: Callable[..., list[Record]]) -> list[Record]:
    """Two seeds on two benchmarks; benchmark one is found to be inverted under both seeds."""
    plain = make_entry("a", [[0.8, 0.9], [0.6, 0.7]])
    return [
        r.model_copy(update={"findings": {"inverted": TEXT}, "audit": {"audited_score": 0.4}})
        if r.setting.benchmark == "one"
        else r
        for r in plain
    ]


@pytest.fixture
def audited(plan: Plan) -> Plan:
    return replace(plan, columns=(*plan.columns, Column("audited_score", "audited score", "max")))


def _text(records: list[Record], plan: Plan, format: Any) -> str:
    console = Console(width=1000, file=io.StringIO())
    console.print(render(aggregate(records, plan), plan, format))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("format", ["rich", "md", "csv", "latex", "json"])
def test_a_finding_is_counted_and_told(records: list[Record], audited: Plan, format: Any) -> None:
    table = _text(records, audited, format)
    assert "inverted 2/2" in table  # the benchmark
    assert "inverted 2/4" in table  # the entry
    assert f"seed 42: {TEXT}" in table


def test_a_finding_changes_neither_rank_nor_score_nor_what_is_best(
    records: list[Record], make_entry: Callable[..., list[Record]], plan: Plan
) -> None:
    worse = make_entry("b", [[0.7, 0.8], [0.5, 0.6]])
    with_it, without = (json.loads(_text([*entry, *worse], plan, "json"))["rows"] for entry in (
        records, [r.model_copy(update={"findings": {}}) for r in records]
    ))  # fmt: skip
    kept = ("rank", "name", "metrics", "best")
    assert [[row[k] for k in kept] for row in with_it] == [[row[k] for k in kept] for row in without]


def test_the_audits_numbers_have_their_mean_over_seeds(records: list[Record], audited: Plan) -> None:
    (entry,) = aggregate(records, audited)
    one, two = (result.means["audited_score"] for result in entry.benchmarks)
    assert one is not None
    assert one.mean == 0.4
    assert two is None  # no audit, no number
