"""RMIA: how much likelier the label is under the target than under other models on average (Zarifzadeh et al. 2024)."""

from __future__ import annotations

import numpy as np

from mlsbench.scoring.attacks.references import with_and_without
from mlsbench.scoring.attacks.target import FloatArray, Outputs, Scores, Target

OFFLINE_A = 0.3


def rmia(target: Target) -> Scores:
    """log(p_y / P), P the average of the mean p_y over references with the example and the mean over those without.

    The paper compares this ratio with that of population examples; for one target that is a monotone transform of it.
    """
    inside, outside = with_and_without(target.references, _probability)
    mean = (inside.mean + outside.mean) / 2
    return Scores(_log_ratio(target, mean), inside.some & outside.some)


def rmia_offline(target: Target) -> Scores:
    """The same from references without the example alone: P = ((1 + a)·mean + (1 − a)) / 2 with a = 0.3."""
    _, outside = with_and_without(target.references, _probability)
    return Scores(_log_ratio(target, ((1 + OFFLINE_A) * outside.mean + (1 - OFFLINE_A)) / 2), outside.some)


def _probability(model: Outputs) -> FloatArray:
    return np.asarray(np.exp(model.log_probability), np.float64)


def _log_ratio(target: Target, mean: FloatArray) -> FloatArray:
    return np.asarray(target.model.log_probability - np.log(np.maximum(mean, np.finfo(np.float64).tiny)), np.float64)
