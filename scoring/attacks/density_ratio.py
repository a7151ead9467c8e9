"""The density-ratio attack: an auditor's bound, fitted on known members and non-members of the target itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlsbench.scoring.attacks.features import entropy, largest, modified_entropy
from mlsbench.scoring.attacks.fitted import prior
from mlsbench.scoring.attacks.target import FloatArray, Outputs
from mlsbench.scoring.membership import top_log_odds

TREES, LEAVES, SMALLEST_LEAF = 60, 12, 20


def learn_density_ratio(known: Sequence[Outputs]) -> Callable[[Outputs], FloatArray]:
    """The log-ratio of members' to non-members' density, by boosted trees' log-odds (Sugiyama et al. 2012).

    It sees log-odds of the label's and of the largest probability, both entropies, the five largest log-probabilities,
    the margin between the first two, and whether the prediction is right. It needs no order between members and
    non-members: a confidence that members alone have gives them away wherever it lies.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    member = np.concatenate([model.member for model in known])
    trees = HistGradientBoostingClassifier(
        max_iter=TREES, max_leaf_nodes=LEAVES, min_samples_leaf=SMALLEST_LEAF, early_stopping=False, random_state=0
    )
    trees.fit(np.concatenate([_features(model) for model in known]), member)
    return lambda model: np.asarray(trees.decision_function(_features(model)) - prior(member), np.float64)


def _features(model: Outputs) -> FloatArray:
    z, labels = model.logits, model.labels
    tiny = np.finfo(np.float64).tiny
    top = largest(z.astype(np.float64), 5)
    top_odds = top_log_odds(z)
    columns = [
        model.scaled_logit,
        top_odds,
        np.log(np.maximum(entropy(z), tiny)),
        np.log(np.maximum(modified_entropy(z, labels), tiny)),
        z.argmax(axis=1) == labels,
        *(top[:, 0] - top[:, i] for i in range(1, top.shape[1])),
    ]
    return np.column_stack(columns)
