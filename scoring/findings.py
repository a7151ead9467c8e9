"""What an audit says in words, by written rules: where `mia_auc`, which decides the score, misses what leaks.

The thresholds were set on honest losses (cross-entropy, label smoothing, confidence penalty, RelaxLoss, the controls),
which none of the rules may flag; docs/attacks.md has the rules as a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.attacks import Outputs
from mlsbench.scoring.membership import confidence
from mlsbench.scoring.roc import folded

Kind = Literal["inverted", "pinned", "label-blind", "saturated", "late change"]

SIGMAS = 3.0  # beyond which no finding is chance
INVERTED = 0.02  # below one half
PINNED_ABOVE, PINNED_CHARGED = 0.15, 0.25
BLIND_ABOVE, BLIND_SHARE, BLIND_SURE = 0.05, 0.2, 0.9
SATURATED = 0.05  # honest losses were seen to reach 2 %
LATE_DROP, LATE_TIMES, LATE_SHARE, LATE_FEWEST = 0.05, 4.0, 0.1, 5

LABEL_FREE = ("top-one", "entropy")
LABEL_AWARE = ("true-label", "loss", "scaled-logit", "modified-entropy", "correctness")


@dataclass(frozen=True)
class Finding:
    """One rule that applies, in plain words."""

    kind: Kind
    text: str


def findings(
    aucs: Mapping[str, float], deviation: float, model: Outputs, mia_auc_by_epoch: Sequence[float] = ()
) -> list[Finding]:
    """All findings about one model.

    aucs: those of audit-1; deviation: of an AUC where nothing leaks; mia_auc_by_epoch: from `curve.csv`.
    """
    noise = SIGMAS * deviation
    found = [
        _inverted(aucs, noise),
        _pinned(aucs, noise),
        _label_blind(aucs, noise, model),
        _saturated(model),
        _late_change(mia_auc_by_epoch),
    ]
    return [one for one in found if one is not None]


def ties(values: NDArray[np.floating]) -> float:
    """The share of `values` that equal another one."""
    _, counts = np.unique(values, return_counts=True)
    return float(counts[counts > 1].sum() / len(values))


def _inverted(aucs: Mapping[str, float], noise: float) -> Finding | None:
    auc = aucs["top-one"]
    if 0.5 - auc <= max(INVERTED, noise):
        return None
    text = f"members are less confident than non-members: an attacker flips the sign and gets an AUC of {1 - auc:.2f}"
    return Finding("inverted", text)


def _pinned(aucs: Mapping[str, float], noise: float) -> Finding | None:
    density, orders = aucs["density-ratio"] - 0.5, _strongest(aucs, (*LABEL_FREE, *LABEL_AWARE))
    charged = max(aucs["top-one"] - 0.5, 0)
    if density - orders <= max(PINNED_ABOVE, noise) or charged >= PINNED_CHARGED * density:
        return None
    text = (
        f"members' outputs lie in a place of their own that no order shows: a classifier fitted on known members gets "
        f"an AUC of {0.5 + density:.2f}, attacks that order examples at most {0.5 + orders:.2f}, and "
        f"mia_auc, which decides the score, is {aucs['top-one']:.2f}"
    )
    return Finding("pinned", text)


def _label_blind(aucs: Mapping[str, float], noise: float, model: Outputs) -> Finding | None:
    free, aware = _strongest(aucs, LABEL_FREE), _strongest(aucs, LABEL_AWARE)
    wrong = model.logits.argmax(axis=1) != model.labels
    if aware - free <= max(BLIND_ABOVE, noise) or free >= BLIND_SHARE * aware or not wrong.any():
        return None
    sure = float(np.median(confidence(model.logits[wrong])))
    if sure < BLIND_SURE:
        return None
    text = (
        f"the model is as sure when it is wrong (median confidence {sure:.2f}), so that confidence says nothing: who "
        f"knows the label gets an AUC of {0.5 + aware:.2f}, who does not {0.5 + free:.2f}"
    )
    return Finding("label-blind", text)


def _saturated(model: Outputs) -> Finding | None:
    share = ties(confidence(model.logits))
    if share <= SATURATED:
        return None
    text = (
        f"{share:.0%} of the examples have exactly the confidence of another one: an attack on probabilities sees ties "
        f"where logits still differ"
    )
    return Finding("saturated", text)


def _late_change(by_epoch: Sequence[float]) -> Finding | None:
    """The last epoch against the median of the fifth of the epochs before the last tenth."""
    values = np.asarray([v for v in by_epoch if np.isfinite(v)])
    if len(values) < LATE_FEWEST:
        return None
    last = max(1, round(LATE_SHARE * len(values)))
    earlier = values[:-last]
    before = float(np.median(earlier[-max(2, 2 * last) :]))
    usual = float(np.median(np.abs(np.diff(earlier))))
    drop = before - float(values[-1])
    if drop <= max(LATE_DROP, LATE_TIMES * usual):
        return None
    epochs = "in the last epoch" if last == 1 else f"in the last {last} epochs"
    return Finding("late change", f"mia_auc falls from {before:.2f} to {values[-1]:.2f} {epochs}")


def _strongest(aucs: Mapping[str, float], names: Sequence[str]) -> float:
    return max(folded(aucs[name]) for name in names) - 0.5
