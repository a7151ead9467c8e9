"""Who is exposed: risk of single examples and of classes over seeds; the average hides both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.attacks import Outputs
from mlsbench.scoring.membership import membership_auc

WORST_SHARE, FEWEST = 0.01, 20
LISTED = 50


@dataclass(frozen=True)
class Exposure:
    """Risk beyond the average. None where two complementary pairs of seeds are missing.

    effects: for the most exposed examples, (index in prepared order, mean φ of the models with it minus those
    without), largest first; worst_examples_auc: AUC of φ on the worst percent (20 at least); worst_class and its AUC.
    Both are chosen on the other pairs and judged on the models of a pair that had no say; worst_class is the one
    chosen most often.
    """

    effects: tuple[tuple[int, float], ...]
    worst_examples: int
    worst_examples_auc: float | None
    worst_class: int | None
    worst_class_auc: float | None


def exposure(models: Mapping[int, Outputs]) -> Exposure | None:
    """The exposure over the models of complete pairs of seeds 2k and 2k + 1; None without any pair."""
    pairs = [(s, s + 1) for s in sorted(models) if s % 2 == 0 and s + 1 in models]
    if not pairs:
        return None
    effects = np.stack([_effect(models[a], models[b]) for a, b in pairs])
    mean = effects.mean(axis=0)
    count = max(FEWEST, round(WORST_SHARE * len(mean)))
    listed = tuple((int(i), float(mean[i])) for i in np.argsort(-mean, kind="stable")[:LISTED])
    if len(pairs) < 2:
        return Exposure(listed, count, None, None, None)
    examples, classes, chosen = [], [], []
    for judged, pair in enumerate(pairs):
        others = [p for p in range(len(pairs)) if p != judged]
        worst = np.argsort(-effects[others].mean(axis=0), kind="stable")[:count]
        seen = [models[seed] for other in others for seed in pairs[other]]
        label = int(_mean_by_class([_by_class(model) for model in seen]).argmax())
        chosen.append(label)
        for seed in pair:
            examples.append(_auc(models[seed], worst))
            classes.append(_auc(models[seed], np.flatnonzero(models[seed].labels == label)))
    return Exposure(listed, count, _mean(examples), max(chosen, key=chosen.count), _mean(classes))


def _effect(even: Outputs, odd: Outputs) -> NDArray[np.float64]:
    """φ of the model with each example minus that without; 0 for the one example that neither had."""
    difference = even.scaled_logit - odd.scaled_logit
    return np.where(even.member == odd.member, 0, np.where(even.member, difference, -difference))


def _by_class(model: Outputs) -> NDArray[np.float64]:
    found = [_auc(model, np.flatnonzero(model.labels == label)) for label in range(model.logits.shape[1])]
    return np.array([np.nan if auc is None else auc for auc in found])


def _mean_by_class(aucs: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean over models of each class's AUC, without those that are NaN; −1 if there is no other."""
    known = np.isfinite(aucs)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, aucs, 0).sum(axis=0) / np.maximum(count, 1), -1.0)


def _auc(model: Outputs, index: NDArray[np.intp]) -> float | None:
    member = model.member[index]
    if member.all() or not member.any():
        return None
    return membership_auc(model.scaled_logit[index], member)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
