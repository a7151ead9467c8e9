"""Losing a seed improves no mean: incomplete benchmarks have none, collapsed seeds stay in and cost the place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from mlsbench.scoring import Column, EntryResult, Plan, Record, aggregate
from mlsbench.scoring.interval import Mean

GOOD = [[0.8, 0.9], [0.6, 0.7]]
UNFINISHED = ["failed", "rejected", "infra_failed", "cancelled"]


def names(results: list[EntryResult]) -> list[str]:
    return [result.key.name for result in results]


def test_a_complete_benchmark_has_means_with_their_intervals(make_entry: Callable[..., Any], plan: Plan) -> None:
    one = aggregate(make_entry("a", GOOD), plan)[0].benchmarks[0]
    half = stats.t.ppf(0.975, 1) * stats.sem([0.8, 0.9])
    assert one.means["acc"] == Mean(pytest.approx(0.85), pytest.approx(half), 2, 2)
    assert one.means["auc"] == Mean(pytest.approx(0.15), pytest.approx(half), 2, 2)


def test_the_score_is_the_mean_over_benchmarks_by_seed_with_its_own_interval(
    make_entry: Callable[..., Any], plan: Plan
) -> None:
    result = aggregate(make_entry("a", [[0.8, 0.9], [0.6, 0.2]]), plan)[0]
    by_seed = [0.7, 0.55]
    half = stats.t.ppf(0.975, 1) * stats.sem(by_seed)
    assert result.seed_scores == pytest.approx(by_seed)
    assert result.score == Mean(pytest.approx(0.625), pytest.approx(half), 2, 2)


@pytest.mark.parametrize("status", [*UNFINISHED, "missing"])
def test_a_lost_seed_takes_the_mean_and_the_score_away(make_entry: Callable[..., Any], plan: Plan, status: str) -> None:
    # the lost seed carries a number, which must count for nothing
    lost = "missing" if status == "missing" else {"score": 0.1, "status": status, "reason": "why"}
    result = aggregate(make_entry("a", [[0.8, lost], [0.6, 0.7]]), plan)[0]
    one, two = result.benchmarks
    assert (one.n, one.planned, one.complete) == (1, 2, False)
    assert one.means == {"acc": None, "auc": None}
    assert [(t.seed, t.status) for t in one.troubles] == [(43, status)]
    assert two.means["acc"] is not None
    assert result.score is None
    assert result.rank is None


def test_a_collapsed_seed_stays_in_the_mean_and_is_marked(make_entry: Callable[..., Any], plan: Plan) -> None:
    result = aggregate(make_entry("a", [[0.8, {"score": 0.1, "status": "collapsed"}], [0.6, 0.7]]), plan)[0]
    assert result.benchmarks[0].means["acc"] == Mean(pytest.approx(0.45), pytest.approx(4.447, abs=1e-3), 2, 2)
    assert result.benchmarks[0].collapsed == 1
    assert result.score is not None


def test_a_metric_with_a_null_in_a_seed_has_no_mean_and_the_others_keep_theirs(
    make_entry: Callable[..., Any], plan: Plan
) -> None:
    broken = {"status": "collapsed", "metrics": {"acc": 0.1, "auc": None}}
    one = aggregate(make_entry("a", [[0.8, broken], [0.6, 0.7]]), plan)[0].benchmarks[0]
    assert one.complete
    assert one.means["acc"] is not None
    assert one.means["auc"] is None


def test_an_entry_whose_primary_metric_is_null_in_a_seed_has_no_score(
    make_entry: Callable[..., Any], plan: Plan
) -> None:
    broken = {"status": "collapsed", "metrics": {"auc": 0.5}}
    result = aggregate(make_entry("a", [[0.8, broken], [0.6, 0.7]]), plan)[0]
    assert result.complete
    assert result.score is None


def test_entries_rank_by_completeness_then_collapse_then_score(make_entry: Callable[..., Any], plan: Plan) -> None:
    collapsed = {"score": 0.9, "status": "collapsed"}
    no_number = {"status": "collapsed", "metrics": {}}
    records = [
        *make_entry("lost", [[0.99, "missing"], [0.99, 0.99]]),
        *make_entry("lost more", [[0.99, "missing"], ["missing", 0.99]]),
        *make_entry("low", [[0.1, 0.1], [0.1, 0.1]]),
        *make_entry("high", [[0.2, 0.2], [0.2, 0.2]]),
        *make_entry("collapsed high", [[0.95, collapsed], [0.95, 0.95]]),
        *make_entry("collapsed low", [[0.9, collapsed], [0.9, 0.9]]),
        *make_entry("collapsed, no number", [[0.9, no_number], [0.9, 0.9]]),
    ]
    results = aggregate(reversed(records), plan)
    assert names(results) == [
        "high",
        "low",
        "collapsed high",
        "collapsed low",
        "collapsed, no number",
        "lost",
        "lost more",
    ]
    assert [result.rank for result in results] == [1, 2, 3, 4, None, None, None]


def test_a_primary_metric_that_is_better_low_ranks_the_lowest_first(make_entry: Callable[..., Any], plan: Plan) -> None:
    low_is_good = replace(plan, columns=(Column("auc", "mia auc", "min", primary=True),))
    records = [*make_entry("leaks", [[0.1, 0.1], [0.1, 0.1]]), *make_entry("keeps", GOOD)]
    assert names(aggregate(records, low_is_good)) == ["keeps", "leaks"]


def test_equal_scores_share_a_rank_and_the_next_one_skips(make_entry: Callable[..., Any], plan: Plan) -> None:
    records = [*make_entry("b", GOOD), *make_entry("a", GOOD), *make_entry("c", [[0.1, 0.1], [0.1, 0.1]])]
    assert [(r.key.name, r.rank) for r in aggregate(records, plan)] == [("a", 1), ("b", 1), ("c", 3)]


@pytest.mark.parametrize("change", [{"name": "other"}, {"type": "agent"}, {"submission": "2" * 64}], ids=str)
def test_name_type_and_submission_each_make_another_entry(
    make_entry: Callable[..., Any], plan: Plan, change: dict[str, str]
) -> None:
    other = make_entry(**{"name": "a", "scores": GOOD, **change})
    assert len(aggregate([*make_entry("a", GOOD), *other], plan)) == 2


def test_a_failure_is_not_hidden_by_a_later_success(make_record: Callable[..., Record], plan: Plan) -> None:
    records = [make_record(status="failed", minute=0), make_record(0.9, sandbox="docker", minute=1)]
    assert aggregate(records, plan)[0].benchmarks[0].troubles[0].status == "failed"


def test_records_outside_the_plan_change_nothing(make_entry: Callable[..., Any], plan: Plan) -> None:
    wider = make_entry("a", [[0.8, 0.9, 0.1], [0.6, 0.7, 0.1], [0.1, 0.1, 0.1]])
    assert aggregate(wider, plan) == aggregate(make_entry("a", GOOD), plan)


def test_an_entry_without_a_planned_job_is_no_entry(make_entry: Callable[..., Any], plan: Plan) -> None:
    assert aggregate(make_entry("a", [["missing", "missing", 0.9]]), plan) == []


def test_records_run_in_process_never_enter(make_entry: Callable[..., Any], plan: Plan) -> None:
    assert aggregate(make_entry("a", GOOD, sandbox="inprocess"), plan) == []


def test_one_job_in_two_groups_is_refused_too(make_record: Callable[..., Record], plan: Plan) -> None:
    with pytest.raises(ValueError, match="never in one table"):
        aggregate([make_record(), make_record(precision="bf16", minute=1)], plan)


def test_records_of_different_groups_are_refused(make_entry: Callable[..., Any], plan: Plan) -> None:
    with pytest.raises(ValueError, match="never in one table"):
        aggregate([*make_entry("a", GOOD), *make_entry("b", GOOD, precision="bf16")], plan)
