"""Means over seeds with Student's t-interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import stdtrit

LEVEL = 0.95
POWER = 0.8


@dataclass(frozen=True)
class Mean:
    """A mean over seeds: `n` of `planned` seeds are in it; `half_width` of its 95 % t-interval, None for one seed."""

    mean: float
    half_width: float | None
    n: int
    planned: int


def mean_over_seeds(values: Sequence[float], planned: int) -> Mean:
    """The mean of `values`, one a seed, at least one, of `planned`."""
    return Mean(fmean(values), half_width(values), len(values), planned)


def half_width(values: Sequence[float]) -> float | None:
    """t₀.₉₇₅,ₙ₋₁ · s / √n, half the width of the 95 % t-interval of the mean; None for fewer than two values."""
    return _spread(values, (1 + LEVEL) / 2)


def half_width_of_next(values: Sequence[float]) -> float | None:
    """t₀.₉₇₅,ₙ₋₁ · s · √(1 + 1/n), half the width of the 95 % interval of one more value; None for fewer than two."""
    width = half_width(values)
    return None if width is None else width * math.sqrt(len(values) + 1)


def deviation(values: Sequence[float]) -> float | None:
    """s, the sample deviation of `values`; None for fewer than two."""
    return stdev(values) if len(values) > 1 else None


def detectable(values: Sequence[float]) -> float | None:
    """(t₀.₉₇₅,ₙ₋₁ + t₀.₈,ₙ₋₁) · s / √n for paired differences `values`; None for fewer than two.

    About the smallest true difference that a two-sided 5 % test on n such pairs finds with 80 % power.
    """
    return _spread(values, (1 + LEVEL) / 2, POWER)


def _spread(values: Sequence[float], *quantiles: float) -> float | None:
    n = len(values)
    if n < 2:
        return None
    return float(sum(stdtrit(n - 1, q) for q in quantiles)) * stdev(values) / math.sqrt(n)
