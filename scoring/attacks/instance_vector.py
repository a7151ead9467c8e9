"""The instance-vector attack: is the target's vector nearer to those of models with or without the example?"""

from __future__ import annotations

import numpy as np

from mlsbench.scoring.attacks.references import few
from mlsbench.scoring.attacks.target import MissingReferencesError, Scores, Target

WANTED = 25  # a side; Li, Li and Ribeiro train 50 models, each on half of the examples
_SMALLEST = 1e-30


def instance_vector(target: Target) -> Scores:
    """KL(p ‖ mean vector of models without the example) − KL(p ‖ mean vector of those with it) (Long et al. 2017).

    The decision is at 0: the nearer side. Probabilities below 1e-30 count as that.
    """
    if not target.references:
        raise MissingReferencesError("needs another complementary pair of seeds")
    count = np.zeros((2, len(target.model)), np.intp)
    means = np.zeros((2, *target.model.logits.shape))
    for reference in target.references:
        p = reference.probabilities()
        for side, chosen in enumerate((reference.member, ~reference.member)):
            count[side] += chosen
            means[side][chosen] += p[chosen]
    for side in (0, 1):
        means[side] /= np.maximum(count[side], 1)[:, None]
        np.log(np.maximum(means[side], _SMALLEST, out=means[side]), out=means[side])
    means[0] -= means[1]
    values = np.einsum("nk,nk->n", target.model.probabilities(), means[0])
    return Scores(values, (count[0] > 0) & (count[1] > 0), decides=True, note=few(count[0], WANTED))
