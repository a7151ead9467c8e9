"""Is a trained model a classifier at all? Judged by its test predictions alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mlsbench.scoring.membership import accuracy


@dataclass(frozen=True)
class Verdict:
    """How a job that trained to its end is judged; `reason` is empty if it is scored."""

    status: Literal["scored", "collapsed"]
    reason: str = ""


def judge(
    test_logits: ArrayLike, test_labels: ArrayLike, *, chance_factor: float, sigmas: float, max_class_share: float
) -> Verdict:
    """`collapsed` if the model is no classifier, else `scored`. test_logits: [M, K], test_labels: [M].

    Collapsed is a model with a test logit that is not finite, with test_acc ≤ max(chance_factor / K, 1 / K + sigmas ·
    σ), where σ = √(p (1 − p) / M), p = 1 / K is the deviation of a guesser's accuracy, or with one class in at least
    `max_class_share` of the predictions. Never by confidence: flat confidence may be the defense.
    """
    logits = np.asarray(test_logits)
    test_acc = accuracy(logits, test_labels)
    if not np.isfinite(logits).all():
        return Verdict("collapsed", "collapsed: the model's test logits are not finite")
    examples, classes = logits.shape
    limit = chance_limit(classes, examples, chance_factor, sigmas)
    if test_acc <= limit:
        return Verdict(
            "collapsed", f"collapsed: test accuracy {test_acc:.3f} is at most {limit:.3f}, what guessing could reach"
        )
    counts = np.bincount(logits.argmax(axis=1), minlength=classes)
    share = float(counts.max() / examples)
    if share >= max_class_share:
        return Verdict("collapsed", f"collapsed: class {counts.argmax()} takes {share:.1%} of the test predictions")
    return Verdict("scored")


def chance_limit(classes: int, examples: int, chance_factor: float, sigmas: float) -> float:
    """The highest test accuracy that counts as guessing: max(chance_factor / K, 1 / K + sigmas · √(p (1 − p) / M))."""
    chance = 1 / classes
    return max(chance_factor / classes, chance + sigmas * math.sqrt(chance * (1 - chance) / examples))
