"""What there is to measure of a trained model: its logits, and what each example of the pool was to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.membership import accuracy

Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]
Logits = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Trained:
    """A model's logits, evaluated after training, and who was what in it.

    pool_logits: [N, K], of all examples that a split divides; labels: [N], as trained; true_labels: [N]; member: [N];
    validation: [N], those that the loss saw logits of, neither members nor non-members; test_logits: [M, K];
    test_labels: [M].
    """

    pool_logits: Logits
    labels: Labels
    true_labels: Labels
    member: Mask
    validation: Mask
    test_logits: Logits
    test_labels: Labels

    @cached_property
    def mislabelled(self) -> Mask:
        """Canaries, or poison: the label in training is another class than the true one."""
        return np.asarray(self.labels != self.true_labels)

    @cached_property
    def honest(self) -> Mask:
        """The members and non-members that are not mislabelled."""
        return np.asarray(~self.mislabelled & ~self.validation)

    @property
    def finite(self) -> bool:
        """Whether every logit is a number."""
        return bool(np.isfinite(self.pool_logits).all() and np.isfinite(self.test_logits).all())

    @property
    def test_acc(self) -> float:
        """Share of test examples whose largest logit is at the label."""
        return accuracy(self.test_logits, self.test_labels)

    def accuracy(self, chosen: Mask) -> float:
        """Share of the `chosen` examples of the pool whose largest logit is at the label of training; NaN of none."""
        return accuracy(self.pool_logits[chosen], self.labels[chosen]) if chosen.any() else float("nan")


def kept_of(model: Trained) -> dict[str, NDArray[Any]]:
    """The arrays that a job keeps of `model`; `from_kept` makes it of them again, given the dataset's labels."""
    arrays = {"train_logits": model.pool_logits, "test_logits": model.test_logits, "member": model.member}
    if model.mislabelled.any():
        arrays["labels"] = model.labels
    if model.validation.any():
        arrays["validation"] = model.validation
    return arrays


def from_kept(arrays: Mapping[str, NDArray[Any]], labels: Labels, test_labels: Labels) -> Trained:
    """The model whose arrays `kept_of` gave. labels: int64 [N], test_labels: int64 [M], those of the dataset."""
    member = arrays["member"]
    return Trained(
        arrays["train_logits"], arrays.get("labels", labels), labels, member,
        arrays.get("validation", np.zeros(len(member), np.bool_)), arrays["test_logits"], test_labels,
    )  # fmt: skip
