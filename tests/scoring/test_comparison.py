"""Two entries are compared seed by seed, and a comparison says how small a difference it could have shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from mlsbench import UserError
from mlsbench.scoring import Column, Plan, compare, comparison_lines

A = [[0.802, 0.84, 0.82, 0.85], [0.602, 0.62, 0.61, 0.65]]
B = [[0.79, 0.80, 0.81, 0.82], [0.61, 0.60, 0.60, 0.66]]


@pytest.fixture
def four(plan: Plan) -> Plan:
    return replace(plan, seeds=(42, 43, 44, 45))


def test_differences_are_those_of_a_paired_t_test(make_entry: Callable[..., Any], four: Plan) -> None:
    result = compare([*make_entry("a", A), *make_entry("b", B)], "a", "b", four)
    paired = stats.ttest_rel(A[0], B[0])
    interval = paired.confidence_interval(0.95)
    first = result.differences[0].difference
    assert first is not None
    assert first.mean == pytest.approx(0.023)
    assert first.half_width == pytest.approx((interval.high - interval.low) / 2)


def test_the_score_is_compared_by_seed_too(make_entry: Callable[..., Any], four: Plan) -> None:
    last = compare([*make_entry("a", A), *make_entry("b", B)], "a", "b", four).differences[-1]
    seeds = [(A[0][i] + A[1][i] - B[0][i] - B[1][i]) / 2 for i in range(4)]
    assert last.benchmark == "mean"
    assert last.difference is not None
    assert last.difference.mean == pytest.approx(sum(seeds) / 4)
    assert last.detectable == pytest.approx((stats.t.ppf(0.975, 3) + stats.t.ppf(0.8, 3)) * stats.sem(seeds))


def test_a_difference_is_clear_exactly_if_a_paired_t_test_says_so(make_entry: Callable[..., Any], four: Plan) -> None:
    result = compare([*make_entry("a", A), *make_entry("b", B)], "a", "b", four)
    significant = [stats.ttest_rel(A[i], B[i]).pvalue < 0.05 for i in range(2)]
    assert [d.clear for d in result.differences[:2]] == significant
    shifted = compare([*make_entry("a", A), *make_entry("b", [[x - 0.1 for x in row] for row in B])], "a", "b", four)
    assert all(d.clear for d in shifted.differences)


def test_swapped_entries_give_the_opposite(make_entry: Callable[..., Any], four: Plan) -> None:
    records = [*make_entry("a", A), *make_entry("b", B)]
    there, back = compare(records, "a", "b", four), compare(records, "b", "a", four)
    for d, e in zip(there.differences, back.differences, strict=True):
        assert d.difference is not None
        assert e.difference is not None
        assert d.difference.mean == pytest.approx(-e.difference.mean)


def test_a_lost_seed_leaves_no_difference(make_entry: Callable[..., Any], four: Plan) -> None:
    lost = [[{"status": "failed", "score": 0.1}, *B[0][1:]], B[1]]
    first, second, score = compare([*make_entry("a", A), *make_entry("b", lost)], "a", "b", four).differences
    assert (first.n, first.planned, first.difference) == (3, 4, None)
    assert second.difference is not None
    assert (score.n, score.difference) == (3, None)


def test_one_seed_shows_a_difference_without_interval(make_entry: Callable[..., Any], plan: Plan) -> None:
    single = replace(plan, seeds=(42,))
    first = compare([*make_entry("a", A), *make_entry("b", B)], "a", "b", single).differences[0]
    assert first.difference is not None
    assert (first.difference.half_width, first.detectable, first.clear) == (None, None, False)


def test_the_line_of_one_seed_promises_no_interval(make_entry: Callable[..., Any], plan: Plan) -> None:
    result = compare([*make_entry("a", A), *make_entry("b", B)], "a", "b", replace(plan, seeds=(42,)))
    lines = comparison_lines(result)
    assert lines[2] == "one   +0.012 (1/1)"
    assert lines[-1] == "One seed has no interval: nobody can say whether a difference is more than chance."


def test_an_unknown_name_is_an_error_with_all_names_close_ones_first(
    make_entry: Callable[..., Any], plan: Plan
) -> None:
    with pytest.raises(UserError, match=r"no entry is called 'relaxlos' here; there is relaxloss, erm$"):
        compare([*make_entry("relaxloss", A), *make_entry("erm", B)], "relaxlos", "erm", plan)


def test_an_entry_is_not_compared_with_itself(make_entry: Callable[..., Any], plan: Plan) -> None:
    with pytest.raises(UserError, match="'erm' and 'erm:baseline' are the same entry"):
        compare(make_entry("erm", A, type="baseline"), "erm", "erm:baseline", plan)


def test_a_name_where_there_are_no_entries_is_an_error(plan: Plan) -> None:
    with pytest.raises(UserError, match="there are no entries"):
        compare([], "a", "b", plan)


def test_an_ambiguous_name_is_an_error_that_lists_the_choices(make_entry: Callable[..., Any], plan: Plan) -> None:
    records = [*make_entry("model", A, type="vanilla"), *make_entry("model", B, type="agent"), *make_entry("b", B)]
    with pytest.raises(UserError, match="model:agent:111111111111, model:vanilla:111111111111"):
        compare(records, "model", "b", plan)


@pytest.mark.parametrize("call", ["model:agent", "model:agent:" + "2" * 8, "model:agent:" + "2" * 64])
def test_an_ambiguous_name_is_resolved_by_type_and_submission(
    make_entry: Callable[..., Any], plan: Plan, call: str
) -> None:
    records = [*make_entry("model", A, type="vanilla"), *make_entry("model", B, type="agent", submission="2" * 64)]
    assert compare(records, call, "model:vanilla", plan).a == ("model", "agent", "2" * 64)


def test_a_few_digits_of_a_submission_are_not_enough(make_entry: Callable[..., Any], plan: Plan) -> None:
    with pytest.raises(UserError, match="no entry is called"):
        compare(make_entry("a", A), "a:baseline:1111111", "a", plan)


def test_the_lines_say_difference_interval_and_what_could_be_shown(make_entry: Callable[..., Any], four: Plan) -> None:
    lines = comparison_lines(compare([*make_entry("a", A), *make_entry("b", B)], "a", "b", four))
    assert lines[:5] == [
        "test acc: a minus b, each seed of one against the same seed of the other; above zero a is better",
        "",
        "one   +0.023 ± 0.023 (4/4)  not clear; detectable 0.030",
        "two   +0.003 ± 0.023 (4/4)  not clear; detectable 0.030",
        "mean  +0.013 ± 0.019 (4/4)  not clear; detectable 0.025",
    ]


def test_the_lines_explain_their_words(make_entry: Callable[..., Any], four: Plan) -> None:
    text = " ".join(comparison_lines(compare([*make_entry("a", A), *make_entry("b", B)], "a", "b", four))[5:])
    for words in (
        "95 % t-interval over 4 seeds",
        "clear if zero is outside",
        "detectable: the smallest true",
    ):
        assert words in text


@pytest.mark.parametrize(("sign", "winner"), [("max", "b"), ("min", "a")])
def test_a_clear_difference_names_who_is_better(
    make_entry: Callable[..., Any], four: Plan, sign: Any, winner: str
) -> None:
    plan = replace(four, columns=(Column("acc", "test acc", sign, primary=True),))
    higher = [[x + 0.1 for x in row] for row in A]
    lines = comparison_lines(compare([*make_entry("a", A), *make_entry("b", higher)], "a", "b", plan))
    assert f"clear, {winner} is better; detectable 0.000" in lines[2]


def test_the_lines_name_what_tells_namesakes_apart(make_entry: Callable[..., Any], plan: Plan) -> None:
    low_is_good = replace(plan, columns=(Column("auc", "mia auc", "min", primary=True),))
    records = [*make_entry("m", A, type="agent"), *make_entry("m", B), *make_entry("m", B, submission="2" * 64)]
    by_type = comparison_lines(compare(records, "m:agent", "m:baseline:11111111", low_is_good))
    by_digits = comparison_lines(compare(records, "m:baseline:11111111", "m:baseline:22222222", low_is_good))
    assert by_type[0].startswith("mia auc: m:agent minus m:baseline, each seed")
    assert by_type[0].endswith("below zero m:agent is better")
    assert "m:baseline:111111111111 minus m:baseline:222222222222" in by_digits[0]


def test_the_lines_say_when_there_is_no_difference(make_entry: Callable[..., Any], plan: Plan) -> None:
    lost = [["missing", 0.1], B[1]]
    lines = comparison_lines(compare([*make_entry("a", A), *make_entry("b", lost)], "a", "b", plan))
    assert lines[2] == "one   not compared: 1 of 2 seeds have both numbers"
    assert lines[4] == "mean  not compared: 1 of 2 seeds have both numbers"
