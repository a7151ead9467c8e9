"""What attacks look at, from logits in float64: no value is lost to the rounding of a probability to one.

A probability p is exactly 1 in float64 once its logit is some 37 above the others. All features are therefore computed
from the log-odds of p, which keep their order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from mlsbench.scoring.membership import top_log_odds

FloatArray = NDArray[np.float64]


def scaled_logit(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> FloatArray:
    """φ = log p_y − log Σ_{i≠y} p_i, [N]: the log-odds of the label's probability (Carlini et al. 2022)."""
    z = logits.astype(np.float64)
    if z.shape[1] == 1:
        return np.zeros(len(z))
    own = z[np.arange(len(z)), labels]
    z[np.arange(len(z)), labels] = -np.inf
    return np.asarray(own - logsumexp(z, axis=1), np.float64)


def log_probability(scaled: FloatArray) -> FloatArray:
    """log p_y, [N], from the scaled logits: the negative of the cross-entropy."""
    return np.asarray(-np.logaddexp(0, -scaled), np.float64)


def probabilities(logits: NDArray[np.floating]) -> FloatArray:
    """The softmax, [N, K]."""
    p = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return np.asarray(p, np.float64)


def entropy(logits: NDArray[np.floating]) -> FloatArray:
    """H(p) = −Σ p_i log p_i in nats, [N]."""
    p = probabilities(logits)
    rows, top = np.arange(len(p)), logits.argmax(axis=1)
    top_p = p[rows, top]
    p[rows, top] = 0
    rest = np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(axis=1)
    return np.asarray(-rest - top_p * log_probability(top_log_odds(logits)), np.float64)


def modified_entropy(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> FloatArray:
    """−(1 − p_y) log p_y − Σ_{i≠y} p_i log(1 − p_i), [N]: small for a sure and right model (Song and Mittal 2021)."""
    p = probabilities(logits)
    rows, top = np.arange(len(p)), logits.argmax(axis=1)
    phi = scaled_logit(logits, labels)
    terms = p * np.log1p(-np.minimum(p, 0.5))  # only the largest probability can be above one half
    terms[rows, top] = -p[rows, top] * np.logaddexp(0, top_log_odds(logits))
    terms[rows, labels] = expit(-phi) * log_probability(phi)
    return np.asarray(-terms.sum(axis=1), np.float64)


def largest(values: FloatArray, count: int) -> FloatArray:
    """The `count` largest of each row of `values` [N, K] in falling order, [N, min(count, K)]."""
    count = min(count, values.shape[1])
    part = np.partition(values, values.shape[1] - count, axis=1)[:, -count:]
    return np.asarray(-np.sort(-part, axis=1), np.float64)
