"""The likelihood-ratio attack, online, with one variance for all examples or one for each (Carlini et al. 2022)."""

from __future__ import annotations

import numpy as np

from mlsbench.scoring.attacks.references import Side, few, with_and_without
from mlsbench.scoring.attacks.target import FloatArray, MissingReferencesError, Scores, Target

ENOUGH = 16  # models on a side, from which on a variance for each example is worth its noise
_SMALLEST = 1e-12


def lira_fixed(target: Target) -> Scores:
    """log N(φ; μ_in, σ_in) − log N(φ; μ_out, σ_out) with means of each example and two variances common to all.

    A common variance is the mean square of deviations from the examples' own means. A single model on a side has no
    deviation: then both variances are taken as 1, and the score keeps the order that any equal variances give.
    """
    inside, outside = with_and_without(target.references, lambda model: model.scaled_logit)
    freedom = [int(np.maximum(side.count - 1, 0).sum()) for side in (inside, outside)]
    if min(freedom) == 0:
        variances = [1.0, 1.0]
        note = "one model on a side: equal variances assumed"
    else:
        variances = [
            max(float(side.squares.sum()) / n, _SMALLEST) for side, n in zip((inside, outside), freedom, strict=True)
        ]
        note = ""
    phi = target.model.scaled_logit
    values = _log_density(phi, inside.mean, variances[0]) - _log_density(phi, outside.mean, variances[1])
    return Scores(np.asarray(values, np.float64), inside.some & outside.some, note=note)


def lira(target: Target) -> Scores:
    """The same with the variances of each example, over the models with and without it.

    Only examples with at least two models on either side are scored; MissingReferencesError if there is none.
    """
    inside, outside = with_and_without(target.references, lambda model: model.scaled_logit)
    scored = (inside.count > 1) & (outside.count > 1)
    if not scored.any():
        raise MissingReferencesError("needs two models with and two without each example: two more pairs of seeds")
    phi = target.model.scaled_logit
    values = _log_density(phi, inside.mean, _variance(inside)) - _log_density(phi, outside.mean, _variance(outside))
    return Scores(np.where(scored, values, 0), scored, note=few(inside.count, ENOUGH))


def _variance(side: Side) -> FloatArray:
    return np.asarray(np.maximum(side.squares / np.maximum(side.count - 1, 1), _SMALLEST), np.float64)


def _log_density(values: FloatArray, mean: FloatArray, variance: FloatArray | float) -> FloatArray:
    return np.asarray(-((values - mean) ** 2) / (2 * variance) - np.log(2 * np.pi * variance) / 2, np.float64)
