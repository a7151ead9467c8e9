"""How attack models are fitted: never on the examples whose membership they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mlsbench.scoring.attacks.target import (
    BoolArray,
    FloatArray,
    MissingReferencesError,
    Outputs,
    Scores,
    Target,
    scores,
)

# Fits on models whose members are known; the answer scores another model's examples, above 0 for "member".
Learner = Callable[[Sequence[Outputs]], Callable[[Outputs], FloatArray]]

THREADS = 1  # the fits are small: more gain little, and on a busy machine they wait for each other ten times as long
SPLIT_SEED = 1  # a constant of audit-1: everybody draws the same halves


def halves(member: BoolArray, seed: int = SPLIT_SEED) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Two random halves of the examples, each with half of the members and half of the non-members.

    Labels play no part: halves balanced by class, too, would let an attack model learn in one half by which chance a
    class has more members than non-members in the other.
    """
    random = np.random.default_rng(seed)
    kinds = [random.permutation(np.flatnonzero(member == kind)) for kind in (True, False)]
    first = np.concatenate([index[: len(index) // 2] for index in kinds])
    second = np.concatenate([index[len(index) // 2 :] for index in kinds])
    return np.sort(first), np.sort(second)


def on_halves(learn: Learner, target: Target) -> Scores:
    """Each half of the examples is scored by what `learn` made of the target's known membership in the other half."""
    model = target.model
    values = np.zeros(len(model))
    first, second = halves(model.member)
    with threadpool_limits(THREADS):
        for known, unknown in ((first, second), (second, first)):
            values[unknown] = learn([model.take(known)])(model.take(unknown).unknown())
    return scores(values, decides=True)


def on_references(learn: Learner, target: Target) -> Scores:
    """The target's examples are scored by what `learn` made of the references. MissingReferencesError without any."""
    if not target.references:
        raise MissingReferencesError("needs another complementary pair of seeds")
    with threadpool_limits(THREADS):
        return scores(learn(target.references)(target.model.unknown()), decides=True)


def prior(member: BoolArray) -> float:
    """log(members / non-members): what a classifier's log-odds owe to the composition of what it was fitted on."""
    return float(np.log(member.sum() / (~member).sum()))
