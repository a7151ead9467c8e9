"""Attacks that are a threshold on one number: Yeom et al. 2018, Salem et al. 2019, Song and Mittal 2021."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlsbench.scoring.attacks.features import modified_entropy
from mlsbench.scoring.attacks.target import FloatArray, Outputs, Scores, Target, scores
from mlsbench.scoring.membership import confidence_order
from mlsbench.scoring.roc import best_threshold

STRANGERS_ABOVE = 0.25
_FEWEST = 2  # members, and non-members, of a class without which it gets no threshold of its own


def learn_global_loss(known: Sequence[Outputs]) -> Callable[[Outputs], FloatArray]:
    """Member if the cross-entropy is below the mean loss of known members (Yeom et al. 2018)."""
    mean = np.mean(np.concatenate([model.log_probability[model.member] for model in known]))
    return lambda model: model.log_probability - mean


def learn_global_probability(known: Sequence[Outputs]) -> Callable[[Outputs], FloatArray]:
    """Member if p_y is above the threshold that was best on known membership (Li, Li and Ribeiro 2021, section 3.1).

    Thresholds and values are log-odds of p_y.
    """
    threshold = best_threshold(*_pooled(known, lambda model: model.scaled_logit))
    return lambda model: model.scaled_logit - threshold


def learn_class_thresholds(known: Sequence[Outputs]) -> Callable[[Outputs], FloatArray]:
    """Member if the modified entropy is below a threshold of its class, the best on known membership.

    Song and Mittal 2021. Values are −log of the modified entropy minus the threshold. A class of which fewer than two
    members or non-members are known uses the threshold of all classes.
    """
    values, member = _pooled(known, _surprise)
    labels = np.concatenate([model.labels for model in known])
    thresholds = np.full(known[0].logits.shape[1], best_threshold(values, member))
    for label in np.unique(labels):
        own = labels == label
        if min(member[own].sum(), (~member[own]).sum()) >= _FEWEST:
            thresholds[label] = best_threshold(values[own], member[own])
    return lambda model: _surprise(model) - thresholds[model.labels]


def global_top_one(target: Target) -> Scores:
    """Member if the largest probability is in the upper quarter of what the target gives to strangers.

    Salem et al. 2019 query random inputs and take a threshold from their upper 5 to 25 %; here the strangers are real
    inputs, the test set, so that about a quarter of non-members is wrongly called a member. ValueError without any.
    """
    if target.strangers is None or not len(target.strangers):
        raise ValueError("top-one's threshold needs inputs that were no member of any model")
    threshold = np.quantile(confidence_order(target.strangers), 1 - STRANGERS_ABOVE)
    return scores(confidence_order(target.model.logits) - threshold, decides=True)


def _surprise(model: Outputs) -> FloatArray:
    tiny = np.finfo(np.float64).tiny
    return np.asarray(-np.log(np.maximum(modified_entropy(model.logits, model.labels), tiny)), np.float64)


def _pooled(known: Sequence[Outputs], feature: Callable[[Outputs], FloatArray]) -> tuple[FloatArray, np.ndarray]:
    return np.concatenate([feature(m) for m in known]), np.concatenate([m.member for m in known])
