"""Whether a defense that looks at validation examples gives these away."""

from __future__ import annotations

import numpy as np

from mlsbench.scoring.attacks.features import scaled_logit
from mlsbench.scoring.attacks.fitted import halves
from mlsbench.scoring.membership import confidence_order
from mlsbench.scoring.roc import held_out_advantage
from mlsbench.scoring.trained import Trained


def validation_advantage(model: Trained) -> float:
    """The largest advantage of three threshold attacks that take validation examples for members, against non-members.

    They look at the largest probability, at that of the true label (by which the loss ranks, too) and at correctness. A
    threshold and its direction come from one half of the examples and are judged on the other, so that a model that
    tells nothing has an advantage near 0 of either sign, with a standard deviation of about 0.35 / √n for n examples of
    each kind, and the largest of three lies a little above. After Li, Li and Ribeiro 2021, section 5.3, whose
    non-members are the test set.
    """
    chosen = np.flatnonzero(model.validation | (model.honest & ~model.member))
    logits, labels, watched = model.pool_logits[chosen], model.labels[chosen], model.validation[chosen]
    right = (logits.argmax(axis=1) == labels).astype(np.float64)
    attacks = (confidence_order(logits), scaled_logit(logits, labels), right)
    return max(held_out_advantage(values, watched, *halves(watched)) for values in attacks)
