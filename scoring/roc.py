"""How well scores tell members from non-members, with intervals that say how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, expit, ndtri
from scipy.stats import rankdata

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LEVEL = 0.95
FEWEST_FALSE_POSITIVES = 10
RATES_DRAWN = 50


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its interval."""

    value: float
    low: float
    high: float


def auc_interval(scores: ArrayLike, member: ArrayLike, level: float = LEVEL) -> Interval:
    """The area under the ROC curve, ties counted half, with DeLong's interval on the logit scale.

    DeLong, DeLong and Clarke-Pearson 1988; by ranks as in Sun and Xu 2014. Where the scores separate members and
    non-members completely there is no variance to estimate: the interval then is that of as many independent pairs as
    there are examples of the rarer kind.
    """
    values, members = np.asarray(scores, np.float64), np.asarray(member, np.bool_)
    inside, outside = values[members], values[~members]
    m, n = len(inside), len(outside)
    if not m or not n:
        raise ValueError("an AUC needs members and non-members")
    ranks = rankdata(values)
    above = (ranks[members] - rankdata(inside)) / n  # for each member, the share of non-members below it
    below = 1 - (ranks[~members] - rankdata(outside)) / m
    auc = float(above.mean())
    tail = (1 - level) / 2
    if auc in (0.0, 1.0):
        reach = tail ** (1 / min(m, n))
        return Interval(auc, reach, 1.0) if auc else Interval(auc, 0.0, 1 - reach)
    variance = _variance(above) / m + _variance(below) / n
    half = -float(ndtri(tail)) * math.sqrt(variance) / (auc * (1 - auc))
    middle = math.log(auc / (1 - auc))
    return Interval(auc, *(float(expit(middle + sign * half)) for sign in (-1, 1)))


def folded(auc: float) -> float:
    """max(AUC, 1 − AUC): what an attacker has who may flip the sign."""
    return max(auc, 1 - auc)


def clopper_pearson(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """The exact two-sided interval of a probability (Clopper and Pearson 1934); 0 to 1 without trials."""
    tail = (1 - level) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return low, high


@dataclass(frozen=True, eq=False)
class Curve:
    """The ROC curve at every threshold that tells two scores apart: a score at or above it means "member".

    thresholds [T] falling, from above all scores on; true_positives and false_positives int [T].
    """

    thresholds: FloatArray
    true_positives: NDArray[np.intp]
    false_positives: NDArray[np.intp]

    @property
    def members(self) -> int:
        """How many members there are."""
        return int(self.true_positives[-1])

    @property
    def non_members(self) -> int:
        """How many non-members there are."""
        return int(self.false_positives[-1])

    def balanced_accuracies(self) -> FloatArray:
        """(TPR + 1 − FPR) / 2 at each threshold."""
        rates = self.true_positives / self.members - self.false_positives / self.non_members
        return np.asarray((1 + rates) / 2, np.float64)


def curve(scores: ArrayLike, member: ArrayLike) -> Curve:
    """The ROC curve of `scores` [N]."""
    values, members = np.asarray(scores, np.float64), np.asarray(member, np.bool_)
    order = np.argsort(-values, kind="stable")
    values, members = values[order], members[order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
    hits = np.cumsum(members)[last]
    return Curve(
        np.append(np.inf, values[last]),
        np.append(0, hits).astype(np.intp),
        np.append(0, last + 1 - hits).astype(np.intp),
    )


def best_threshold(scores: ArrayLike, member: ArrayLike) -> float:
    """The threshold of best balanced accuracy, halfway to the next lower score; members are at or above it."""
    found = curve(scores, member)
    best = int(found.balanced_accuracies().argmax())
    steps = found.thresholds
    if best == 0:
        return float(np.nextafter(steps[1], np.inf))
    if best == len(steps) - 1:
        return float(np.nextafter(steps[best], -np.inf))
    return float(steps[best] + (steps[best + 1] - steps[best]) / 2)


def advantage(scores: ArrayLike, member: ArrayLike) -> float:
    """Best balanced accuracy over all thresholds, minus one half.

    The threshold is chosen on the examples that are judged, so this is an optimistic maximum, above 0 by chance.
    """
    return float(curve(scores, member).balanced_accuracies().max()) - 0.5


def held_out_advantage(
    scores: ArrayLike, member: ArrayLike, first: NDArray[np.intp], second: NDArray[np.intp]
) -> float:
    """Balanced accuracy minus one half with the threshold, and its direction, from one half and judged on the other.

    The mean over both ways round; below 0 by chance where nothing leaks.
    """
    values, members = np.asarray(scores, np.float64), np.asarray(member, np.bool_)
    results = []
    for chosen, judged in ((first, second), (second, first)):
        accuracy = curve(values[chosen], members[chosen]).balanced_accuracies()
        sign = 1.0 if accuracy.max() - 0.5 >= 0.5 - accuracy.min() else -1.0
        threshold = best_threshold(sign * values[chosen], members[chosen])
        results.append(decided_advantage(sign * values[judged] - threshold, members[judged]))
    return sum(results) / 2


def decided_advantage(values: FloatArray, member: BoolArray) -> float:
    """Balanced accuracy of the guess "member where the value is above 0", minus one half."""
    guess = values > 0
    return float(guess[member].mean() - guess[~member].mean()) / 2


def tpr_at_fpr(found: Curve, rate: float, level: float = LEVEL) -> Interval | None:
    """The largest true-positive rate at a false-positive rate of at most `rate`, with its Clopper–Pearson interval.

    None if `rate` allows fewer than ten false positives: nothing could be told from so few.
    """
    allowed = math.floor(rate * found.non_members + 1e-9)
    if allowed < FEWEST_FALSE_POSITIVES:
        return None
    hits = int(found.true_positives[np.searchsorted(found.false_positives, allowed, side="right") - 1])
    return Interval(hits / found.members, *clopper_pearson(hits, found.members, level))


def drawn_rates(non_members: int) -> FloatArray:
    """Fifty false-positive rates for a curve on logarithmic axes, from one of so many `non_members` to all."""
    return np.geomspace(1 / non_members, 1, RATES_DRAWN)


def tprs_at_fprs(found: Curve, rates: FloatArray) -> FloatArray:
    """The largest true-positive rate at a false-positive rate of at most each of `rates`."""
    allowed = np.floor(rates * found.non_members + 1e-9)
    hits = found.true_positives[np.searchsorted(found.false_positives, allowed, side="right") - 1]
    return np.asarray(hits / found.members, np.float64)


def _variance(values: FloatArray) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.25
