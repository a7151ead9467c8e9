"""Difficulty calibration: how much surer the target is of an example than models that never saw it."""

from __future__ import annotations

from mlsbench.scoring.attacks.references import with_and_without
from mlsbench.scoring.attacks.target import Scores, Target


def calibrated(target: Target) -> Scores:
    """φ of the target minus the mean φ of the references without the example (Watson et al. 2022)."""
    _, without = with_and_without(target.references, lambda model: model.scaled_logit)
    return Scores(target.model.scaled_logit - without.mean, without.some)
