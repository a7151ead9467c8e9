"""The metrics of learning from poisoned labels."""

from __future__ import annotations

from mlsbench.scoring.trained import Trained


def poison_metrics(model: Trained) -> dict[str, float]:
    """`test_acc`, `poison_fit` and `robust_score` of one model.

    - test_acc: share of test examples whose largest logit is at the label.
    - poison_fit: share of the poisoned training examples whose largest logit is at the poisoned label; NaN of none.
    - robust_score: (test_acc + 1 − poison_fit) / 2.
    """
    test_acc, poison_fit = model.test_acc, model.accuracy(model.mislabelled)
    return {"test_acc": test_acc, "poison_fit": poison_fit, "robust_score": (test_acc + 1 - poison_fit) / 2}
