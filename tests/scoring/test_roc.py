"""AUC and rates are scikit-learn's, and intervals hold the truth as often as they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve

from mlsbench.scoring.attacks.fitted import halves
from mlsbench.scoring.roc import (
    advantage,
    auc_interval,
    best_threshold,
    clopper_pearson,
    curve,
    decided_advantage,
    drawn_rates,
    held_out_advantage,
    tpr_at_fpr,
    tprs_at_fprs,
)

RANDOM = np.random.default_rng(3)
MEMBER = np.arange(4000) % 2 == 0
ROUNDED = np.round(RANDOM.normal(size=4000) + 0.5 * MEMBER, 1)  # many ties


def test_auc_and_rates_are_those_of_scikit_learn() -> None:
    assert auc_interval(ROUNDED, MEMBER).value == pytest.approx(roc_auc_score(MEMBER, ROUNDED))
    fpr, tpr, _ = roc_curve(MEMBER, ROUNDED, drop_intermediate=False)
    ours = curve(ROUNDED, MEMBER)
    assert ours.true_positives / 2000 == pytest.approx(tpr)
    assert ours.false_positives / 2000 == pytest.approx(fpr)
    for rate in (0.01, 0.05, 0.5):
        found = tpr_at_fpr(ours, rate)
        assert found is not None
        assert found.value == pytest.approx(tpr[fpr <= rate].max())


def test_a_drawn_curve_goes_from_one_false_positive_to_all_and_is_scikit_learns() -> None:
    rates = drawn_rates(2000)
    drawn = tprs_at_fprs(curve(ROUNDED, MEMBER), rates)
    fpr, tpr, _ = roc_curve(MEMBER, ROUNDED, drop_intermediate=False)
    assert (len(rates), rates[0] * 2000, rates[-1], drawn[-1]) == (50, 1, 1, 1)
    assert rates[1:] / rates[:-1] == pytest.approx(rates[1] / rates[0])
    assert drawn == pytest.approx([tpr[fpr <= rate + 1e-12].max() for rate in rates])


def test_the_best_threshold_has_the_best_balanced_accuracy() -> None:
    guess = best_threshold(ROUNDED, MEMBER) <= ROUNDED
    assert balanced_accuracy_score(MEMBER, guess) == pytest.approx(advantage(ROUNDED, MEMBER) + 0.5)


def test_a_rate_of_fewer_than_ten_false_positives_is_not_told() -> None:
    ours = curve(ROUNDED, MEMBER)
    assert tpr_at_fpr(ours, 10 / 2000) is not None
    assert tpr_at_fpr(ours, 9.9 / 2000) is None


def test_a_rate_counts_as_many_false_positives_as_it_allows() -> None:
    values = np.concatenate([np.arange(1000.0), np.arange(1000) + 0.5])  # each member is just above a non-member
    found = tpr_at_fpr(curve(values, np.arange(2000) >= 1000), 0.01)
    assert found is not None
    assert found.value == 11 / 1000  # ten non-members, the members above them, and one more
    assert found.low < 0.011 < found.high


def test_held_out_thresholds_show_no_advantage_where_there_is_none_and_the_maximum_does() -> None:
    found = [(RANDOM.normal(size=200), RANDOM.permutation(200) < 100) for _ in range(200)]
    honest = [held_out_advantage(v, m, *halves(m)) for v, m in found]
    assert abs(np.mean(honest)) < 3 * np.std(honest) / np.sqrt(200)
    assert np.mean([advantage(v, m) for v, m in found]) > 0.03


def test_held_out_thresholds_find_a_reversed_order() -> None:
    assert held_out_advantage(-ROUNDED, MEMBER, *halves(MEMBER)) == pytest.approx(advantage(ROUNDED, MEMBER), abs=0.03)


def test_a_decision_counts_as_balanced_accuracy() -> None:
    assert decided_advantage(ROUNDED - 0.3, MEMBER) == pytest.approx(
        balanced_accuracy_score(MEMBER, ROUNDED > 0.3) - 0.5
    )


@pytest.mark.parametrize(("shift", "members"), [(0.0, 50), (0.5, 50), (1.5, 40), (0.3, 300)])
def test_delongs_interval_holds_the_true_auc_95_times_in_100(shift: float, members: int) -> None:
    truth, random = norm.cdf(shift / np.sqrt(2)), np.random.default_rng(8)
    member = np.arange(2 * members) < members
    found = [auc_interval(random.normal(size=2 * members) + shift * member, member) for _ in range(600)]
    assert 0.92 < np.mean([i.low <= truth <= i.high for i in found]) < 0.985


def test_the_interval_of_a_complete_separation_has_a_width() -> None:
    found = auc_interval(MEMBER.astype(float)[:60], MEMBER[:60])
    assert (found.value, found.high) == (1, 1)
    assert 0.8 < found.low < 0.95
    assert auc_interval(-MEMBER.astype(float)[:60], MEMBER[:60]).low == 0


@pytest.mark.parametrize("p", [0.005, 0.1, 0.5])
def test_clopper_pearson_holds_the_truth_at_least_95_times_in_100(p: float) -> None:
    hits = np.random.default_rng(1).binomial(200, p, 800)
    bounds = {k: clopper_pearson(int(k), 200) for k in np.unique(hits)}
    assert np.mean([bounds[k][0] <= p <= bounds[k][1] for k in hits]) >= 0.94


def test_clopper_pearson_ends() -> None:
    assert clopper_pearson(0, 10) == (0, pytest.approx(1 - 0.025 ** (1 / 10)))
    assert clopper_pearson(10, 10) == (pytest.approx(0.025 ** (1 / 10)), 1)
    assert clopper_pearson(0, 0) == (0, 1)


def test_an_interval_too_wide_for_a_float_is_zero_to_one() -> None:
    found = auc_interval(np.arange(2000.0), np.arange(2000) == 1)
    assert (found.low, found.high) == pytest.approx((0, 1))
