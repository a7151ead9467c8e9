"""The metrics of an attack on one target, over all examples of its pool."""

from __future__ import annotations

from mlsbench.scoring.attacked import Attacked
from mlsbench.scoring.membership import membership_auc
from mlsbench.scoring.roc import Curve, advantage, curve, tpr_at_fpr


def measure(model: Attacked) -> dict[str, float | None]:
    """TPR at 1 % and at 0.1 % FPR, None where that rate allows fewer than ten false positives; AUC; advantage."""
    found = curve(model.scores, model.member)
    return {
        "tpr_at_1_percent_fpr": _tpr(found, 0.01),
        "tpr_at_01_percent_fpr": _tpr(found, 0.001),
        "auc": membership_auc(model.scores, model.member),
        "advantage": advantage(model.scores, model.member),
    }


def _tpr(found: Curve, rate: float) -> float | None:
    interval = tpr_at_fpr(found, rate)
    return interval.value if interval else None
