"""Attacks that are a function of the target's outputs alone: nothing is fitted."""

from __future__ import annotations

import numpy as np

from mlsbench.scoring.attacks.features import entropy, modified_entropy
from mlsbench.scoring.attacks.target import Scores, Target, scores
from mlsbench.scoring.membership import confidence_order


def correctness(target: Target) -> Scores:
    """1 if the predicted class, the first of equals, is right, else −1: the gap or baseline attack (Yeom et al. 2018).

    Its balanced accuracy is (1 + g) / 2, with g the members' accuracy minus the non-members'.
    """
    right = target.model.logits.argmax(axis=1) == target.model.labels
    return scores(np.where(right, 1.0, -1.0), decides=True)


def top_one(target: Target) -> Scores:
    """The largest probability, as its log-odds (Salem et al. 2019): the order is that of `mia_auc`."""
    return scores(confidence_order(target.model.logits))


def top_one_inverted(target: Target) -> Scores:
    """The smallest largest probability first: for losses that make members less sure."""
    return scores(-confidence_order(target.model.logits))


def true_label(target: Target) -> Scores:
    """The probability of the label, p_y, as float64 holds it (Yeom et al. 2018): ties where it rounds to one."""
    return scores(np.exp(target.model.log_probability))


def loss(target: Target) -> Scores:
    """Minus the cross-entropy, log p_y (Yeom et al. 2018): the order of p_y without its rounding to one."""
    return scores(target.model.log_probability)


def scaled_logit(target: Target) -> Scores:
    """φ = log p_y − log(1 − p_y) (Carlini et al. 2022)."""
    return scores(target.model.scaled_logit)


def negative_entropy(target: Target) -> Scores:
    """−H(p) (Salem et al. 2019; Song and Mittal 2021)."""
    return scores(-entropy(target.model.logits))


def negative_modified_entropy(target: Target) -> Scores:
    """(1 − p_y) log p_y + Σ_{i≠y} p_i log(1 − p_i) (Song and Mittal 2021)."""
    return scores(-modified_entropy(target.model.logits, target.model.labels))
