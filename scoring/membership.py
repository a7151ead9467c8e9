"""The metrics of a membership-inference defense, from the logits of a trained model.

The attack guesses "member" where the model is confident. Confidence is the maximum softmax probability.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

FloatArray = NDArray[np.float64]


def membership_metrics(
    train_logits: ArrayLike, member: ArrayLike, test_logits: ArrayLike, test_labels: ArrayLike
) -> dict[str, float]:
    """`test_acc`, `mia_auc`, `privacy_gap` and `privacy_score` of one model.

    train_logits: float32 [N, K], of members and non-members; member: bool [N]; test_logits: float32 [M, K];
    test_labels: int [M].

    - test_acc: share of test examples whose largest logit is at the label.
    - mia_auc: `membership_auc` of the confidence, by its exact order, all members against all non-members.
    - privacy_gap: mean confidence of members minus that of non-members.
    - privacy_score: `privacy_score(test_acc, mia_auc)`.

    ValueError if a logit is not finite, shapes do not match, or members or non-members are missing.
    """
    _finite(test_logits)
    score = confidence(train_logits)
    members = _membership(score, member)
    test_acc = accuracy(test_logits, test_labels)
    mia_auc = membership_auc(confidence_order(train_logits), members)
    return {
        "test_acc": test_acc,
        "mia_auc": mia_auc,
        "privacy_gap": float(score[members].mean() - score[~members].mean()),
        "privacy_score": privacy_score(test_acc, mia_auc),
    }


def privacy_score(test_acc: float, mia_auc: float) -> float:
    """test_acc − max(mia_auc − 0.5, 0), exactly so: an AUC below one half earns nothing."""
    return test_acc - max(mia_auc - 0.5, 0)


def confidence(logits: ArrayLike) -> FloatArray:
    """Maximum softmax probability of each row of `logits` [N, K], in float64. ValueError if a logit is not finite."""
    z = _finite(logits)
    return np.asarray(1 / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1), np.float64)


def confidence_order(logits: ArrayLike) -> FloatArray:
    """Scores of the rows of `logits` [N, K] in the order of their maximum softmax probability, without its rounding.

    They are `top_log_odds` less those of the probability 1/K, so −log of the mean of exp(z_j − z_top) over the other
    classes j. A probability is rounded to 1 once the logits are some 37 apart and to 1/K once they are 1e-17 apart, and
    a loss that scales them up or down would hide behind ties of ours. ValueError if a logit is not finite.
    """
    z = _finite(logits)
    others = z.shape[1] - 1
    if not others:
        return np.zeros(len(z))
    top = z.argmax(axis=1, keepdims=True)
    below = z - np.take_along_axis(z, top, axis=1)
    small = np.expm1(below).sum(axis=1) / others  # the mean less one, exact where all logits are nearly equal
    np.put_along_axis(below, top, -np.inf, axis=1)
    second = below.max(axis=1)
    large = second + np.log(np.exp(below - second[:, None]).sum(axis=1)) - np.log(others)
    return np.asarray(-np.where(small > -0.5, np.log1p(np.maximum(small, -0.5)), large), np.float64)


def top_log_odds(logits: ArrayLike) -> FloatArray:
    """log(p / (1 − p)) of the maximum softmax probability p of each row of `logits` [N, K], 0 for K = 1.

    Exact where p is near 1. ValueError if a logit is not finite.
    """
    z = _matrix(logits)
    return np.asarray(confidence_order(z) - np.log(max(z.shape[1] - 1, 1)), np.float64)


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Share of rows of `logits` [M, K] whose largest value, the first one of equals, is at the label.

    A row with a value that is not finite counts as wrong, so that a model that broke down still has an accuracy.
    """
    z, y = _matrix(logits), np.asarray(labels)
    if y.shape != z.shape[:1]:
        raise ValueError(f"{len(z)} rows of logits, but labels of shape {y.shape}")
    return float(np.mean((z.argmax(axis=1) == y) & np.isfinite(z).all(axis=1)))


def membership_auc(scores: ArrayLike, member: ArrayLike) -> float:
    """P(a member's score > a non-member's) + P(equal) / 2, over all pairs.

    That is the area under the ROC curve with members as positives, by the rank-sum statistic (Mann and Whitney 1947).
    """
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError("scores must be one finite number for each example")
    members = _membership(values, member)
    positives = int(members.sum())
    rank_sum = float(rankdata(values)[members].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * (len(values) - positives))


def _matrix(logits: ArrayLike) -> FloatArray:
    z = np.asarray(logits, np.float64)
    if z.ndim != 2 or 0 in z.shape:
        raise ValueError(f"logits must have the shape [examples, classes], not {list(z.shape)}")
    return z


def _finite(logits: ArrayLike) -> FloatArray:
    z = _matrix(logits)
    if not np.isfinite(z).all():
        raise ValueError(f"logits are not finite in {int((~np.isfinite(z)).any(axis=1).sum())} of {len(z)} examples")
    return z


def _membership(scores: FloatArray, member: ArrayLike) -> NDArray[np.bool_]:
    members = np.asarray(member)
    if members.dtype != np.bool_ or members.shape != scores.shape:
        raise ValueError(
            f"member must be one bool for each of {len(scores)} examples, not {members.dtype} {list(members.shape)}"
        )
    if members.all() or not members.any():
        raise ValueError("an attack needs members and non-members")
    return members
