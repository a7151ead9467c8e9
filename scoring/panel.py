"""audit-1: a fixed panel of attacks that need no other model, and what its largest number is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from mlsbench.scoring.attacks import AUDIT_1, Scores, Target
from mlsbench.scoring.membership import membership_auc
from mlsbench.scoring.roc import folded

NAME = "audit-1"
DRAWS = 20_000
CHANCE = 0.95


@dataclass(frozen=True)
class Chance:
    """The largest folded advantage of a panel where nothing leaks: its mean, and what 95 of 100 stay below.

    deviations: of each attack's AUC.
    """

    mean: float
    high: float
    deviations: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Panel:
    """What audit-1 found: scores and AUC by attack, the largest folded advantage and whose it is, and chance's."""

    scores: Mapping[str, Scores]
    aucs: Mapping[str, float]
    chance: Chance

    @property
    def strongest(self) -> str:
        """The attack with the largest folded AUC."""
        return max(self.aucs, key=lambda name: folded(self.aucs[name]))

    @property
    def largest(self) -> float:
        """The largest folded AUC, minus one half."""
        return folded(self.aucs[self.strongest]) - 0.5

    def audited_score(self, test_acc: float) -> float:
        """test_acc minus the largest folded advantage. Chance's share of it is not taken off."""
        return test_acc - self.largest


def audit_1(target: Target) -> Panel:
    """Run audit-1 on `target`; its references and strangers play no part."""
    scores = {attack.name: attack.run(target) for attack in AUDIT_1}
    member = target.model.member
    aucs = {name: membership_auc(found.values, member) for name, found in scores.items()}
    fitted = [attack.fitted != "nothing" for attack in AUDIT_1]
    return Panel(scores, aucs, chance_level([s.values for s in scores.values()], fitted, member))


def chance_level(
    values: Sequence[NDArray[np.float64]], fitted: Sequence[bool], member: NDArray[np.bool_], draws: int = DRAWS
) -> Chance:
    """The largest folded advantage of attacks with scores `values` if membership were drawn anew, unknown to all.

    Over all memberships with as many members, AUCs have covariance S / (N m n), with S the covariance of the scores'
    ranks; they are drawn as normal. Attacks that were fitted on known membership would have found another function
    for another membership. Theirs are drawn independently, and with twice the variance: what a linear attack finds by
    chance in one half it finds again when the halves change places, so that the second half adds nothing.
    """
    ranks = np.stack([rankdata(v) for v in values])
    m = int(member.sum())
    covariance = np.atleast_2d(np.cov(ranks)) / (ranks.shape[1] * m * (ranks.shape[1] - m))
    alone = np.asarray(fitted, np.bool_)
    covariance[alone, alone] *= 2
    covariance[alone[:, None] ^ alone | (alone[:, None] & alone & ~np.eye(len(alone), dtype=np.bool_))] = 0
    weights, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(weights, 0))
    drawn = np.random.default_rng(0).standard_normal((draws, len(values))) @ root.T
    largest = np.abs(drawn).max(axis=1)
    deviations = tuple(float(v) for v in np.sqrt(covariance.diagonal()))
    return Chance(float(largest.mean()), float(np.quantile(largest, CHANCE)), deviations)
