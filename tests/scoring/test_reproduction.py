"""Measured stands beside published: the difference, how far one more run of ours may lie, and whether it lies there."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from rich.console import Console
from scipy import stats

from mlsbench.scoring import Plan, markdown_reproduction, reproduce, reproduction_document, rich_reproduction

FOUR = [0.80, 0.84, 0.82, 0.85]


@dataclass
class Row:
    row: int = 1
    name: str = "erm"
    type: str = "baseline"
    benchmark: str = "one"
    metrics: Mapping[str, float | None] = field(default_factory=lambda: {"acc": 0.83, "auc": 0.17})
    status: str = "scored"


@pytest.fixture
def four(plan: Plan) -> Plan:
    return replace(plan, seeds=(42, 43, 44, 45), benchmarks=("one",))


def test_what_is_allowed_is_the_interval_of_one_more_run(make_entry: Callable[..., Any], four: Plan) -> None:
    first = reproduce(make_entry("erm", [FOUR]), [Row()], four).rows[0]
    s = stats.tstd(FOUR)
    assert first.deviation == pytest.approx(s)
    assert first.allowed == pytest.approx(stats.t.ppf(0.975, 3) * s * (1 + 1 / 4) ** 0.5)
    assert first.difference == pytest.approx(sum(FOUR) / 4 - 0.83)


@pytest.mark.parametrize(
    ("published", "verdict"), [(0.9063, "within"), (0.9065, "outside"), (0.7487, "within"), (0.7485, "outside")]
)
def test_the_verdict_changes_where_the_interval_ends(
    make_entry: Callable[..., Any], four: Plan, published: float, verdict: str
) -> None:
    # mean 0.8275, s = 0.022174, t = 3.18245: the interval is 0.8275 ± 0.078896
    found = reproduce(make_entry("erm", [FOUR]), [Row(metrics={"acc": published})], four)
    assert found.rows[0].verdict == verdict


def test_one_seed_has_a_difference_and_no_verdict(make_entry: Callable[..., Any], four: Plan) -> None:
    found = reproduce(make_entry("erm", [FOUR]), [Row()], replace(four, seeds=(42,)))
    assert found.rows[0].difference == pytest.approx(-0.03)
    assert (found.rows[0].allowed, found.rows[0].verdict) == (None, "n/a")
    assert "one seed says nothing" in markdown_reproduction(found)


def test_a_collapsed_published_row_is_no_criterion_and_is_said_to_be_left_out(
    make_entry: Callable[..., Any], four: Plan
) -> None:
    rows = [Row(), Row(row=2, metrics={"acc": 0.1}, status="collapsed")]
    found = reproduce(make_entry("erm", [FOUR]), rows, four)
    assert [row.published for row in found.rows] == [0.83, 0.17]
    assert found.left_out == ("published row 2, erm on one: collapsed, no criterion",)
    assert "left out: published row 2, erm on one: collapsed" in markdown_reproduction(found)


def test_an_entry_that_is_not_published_stands_with_its_numbers_alone(
    make_entry: Callable[..., Any], four: Plan
) -> None:
    rows = [Row(name="other"), Row(type="agent"), Row(benchmark="elsewhere")]
    first = reproduce(make_entry("erm", [FOUR]), rows, four).rows[0]
    assert first.measured is not None
    assert (first.published, first.difference, first.verdict) == (None, None, "")


def test_a_lost_seed_leaves_nothing_to_compare(make_entry: Callable[..., Any], four: Plan) -> None:
    lost = [[{"status": "failed", "score": 0.1}, *FOUR[1:]]]
    first = reproduce(make_entry("erm", lost), [Row()], four).rows[0]
    assert (first.n, first.planned, first.measured, first.allowed, first.verdict) == (3, 4, None, None, "")


def test_each_of_two_published_rows_of_one_name_is_compared(make_entry: Callable[..., Any], four: Plan) -> None:
    found = reproduce(make_entry("erm", [FOUR]), [Row(), Row(row=2, metrics={"acc": 0.5})], four)
    assert [(row.published, row.verdict) for row in found.rows if row.metric.name == "acc"] == [
        (0.83, "within"),
        (0.5, "outside"),
    ]


def test_markdown_terminal_and_document_hold_the_same_numbers(make_entry: Callable[..., Any], four: Plan) -> None:
    found = reproduce(make_entry("erm", [FOUR]), [Row()], four)
    cells = ["0.828 ± 0.035 (4/4)", "0.022", "0.830", "-0.002", "0.079", "within"]
    assert f"| erm | one | test acc | {' | '.join(cells)} |" in markdown_reproduction(found)
    console = Console(file=io.StringIO(), width=140)
    console.print(rich_reproduction(found))
    assert isinstance(console.file, io.StringIO)
    assert all(cell in console.file.getvalue() for cell in cells)
    document = reproduction_document(found)
    assert document["rows"][0]["verdict"] == "within"
    assert document["summary"].startswith("2 of 2 published numbers lie within")


def test_a_hostile_name_is_no_markup(make_entry: Callable[..., Any], four: Plan) -> None:
    found = reproduce(make_entry("[red]a|b</td>", [FOUR]), [], four)
    assert r"| \[red\]a\|b&lt;/td&gt; |" in markdown_reproduction(found)
