"""Intervals over seeds are Student's, as in the textbooks."""

from __future__ import annotations

import pytest
from scipy import stats

from mlsbench.scoring.interval import Mean, detectable, half_width, mean_over_seeds

FOUR = [0.81, 0.84, 0.80, 0.83]


def test_the_interval_equals_that_of_scipy() -> None:
    low, high = stats.t.interval(0.95, 3, loc=sum(FOUR) / 4, scale=stats.sem(FOUR))
    assert half_width(FOUR) == pytest.approx((high - low) / 2, rel=1e-9)


def test_the_t_value_of_three_degrees_of_freedom_is_the_tabulated_one() -> None:
    # mean 0, s = 2, n = 4: the half width is t itself; tables give 3.182
    unit = [3**0.5, -(3**0.5), 3**0.5, -(3**0.5)]
    assert half_width(unit) == pytest.approx(3.182, abs=5e-4)


def test_two_seeds_have_the_tabulated_width() -> None:
    assert half_width([0, 2]) == pytest.approx(12.706, abs=5e-4)


def test_one_seed_has_no_interval() -> None:
    assert mean_over_seeds([0.7], 4) == Mean(0.7, None, 1, 4)
    assert detectable([0.7]) is None


def test_equal_seeds_have_an_interval_of_zero() -> None:
    assert half_width([0.5, 0.5, 0.5]) == 0


def test_the_detectable_difference_adds_the_quantile_of_the_power() -> None:
    expected = (stats.t.ppf(0.975, 3) + stats.t.ppf(0.8, 3)) * stats.sem(FOUR)
    assert detectable(FOUR) == pytest.approx(expected, rel=1e-9)
