"""A lower bound on the ε of differential privacy that an attack's success is evidence for."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlsbench.scoring.roc import clopper_pearson, curve

CONFIDENCE = 0.95
DELTA = 1e-5


def epsilon_bound(
    scores: ArrayLike,
    member: ArrayLike,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    confidence: float = CONFIDENCE,
    delta: float = DELTA,
) -> float:
    """ε that a training with these scores exceeds, at `confidence`; 0 if nothing can be shown.

    (ε, δ) differential privacy means TPR ≤ e^ε FPR + δ for every attack, and the same for non-members (Kairouz et al.
    2015), so ε ≥ log((TPR − δ) / FPR). Both rates are replaced by their unfavourable Clopper–Pearson ends, each with
    half of the error (Nasr et al. 2021). The threshold and the side, members or non-members, are those of the best
    bound in the `first` half of the examples; it is computed on the `second`. It takes examples for independent
    trials, which one training with a random half of them is only nearly: evidence, no certificate.
    """
    values, members = np.asarray(scores, np.float64), np.asarray(member, np.bool_)
    bounds = []
    for sign in (1.0, -1.0):  # reversed scores of reversed membership: the attack that is sure of non-members
        truth = members if sign > 0 else ~members
        found = curve(sign * values[first], truth[first])
        bounds.append((*_best(found.true_positives, found.false_positives, found.thresholds, confidence, delta), sign))
    estimate, threshold, sign = max(bounds)
    if estimate <= 0:
        return 0.0
    truth, guess = (members if sign > 0 else ~members)[second], sign * values[second] >= threshold
    hits, alarms = int(guess[truth].sum()), int(guess[~truth].sum())
    bound = _bound(hits, int(truth.sum()), alarms, int((~truth).sum()), confidence, delta)
    return max(bound, 0.0)


def _best(
    hits: NDArray[np.intp], alarms: NDArray[np.intp], thresholds: NDArray[np.float64], confidence: float, delta: float
) -> tuple[float, float]:
    few = np.unique(np.geomspace(1, len(hits), 200).astype(int)) - 1  # enough of thousands of thresholds
    tried = [(_bound(int(hits[i]), int(hits[-1]), int(alarms[i]), int(alarms[-1]), confidence, delta), i) for i in few]
    bound, index = max(tried)
    return bound, float(thresholds[index])


def _bound(hits: int, members: int, alarms: int, others: int, confidence: float, delta: float) -> float:
    level = confidence  # a two-sided interval of this level errs on either side with half of the error
    low, high = clopper_pearson(hits, members, level)[0], clopper_pearson(alarms, others, level)[1]
    return float(np.log((low - delta) / high)) if low > delta else -np.inf
