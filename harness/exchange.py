"""One step of training, with the candidate's word in the middle of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from mlsbench.harness.images import Draw
from mlsbench.harness.oracle import Answer
from mlsbench.harness.step import Step

Loss = Callable[..., Answer]


class CollapsedError(Exception):
    """The model left the numbers: non-finite logits or weights; the text says which and when."""


class Exchange(Protocol):
    """Whole steps of training a model, and the learning rate."""

    def set_rate(self, rate: float) -> None:
        """Use this learning rate from now on."""

    def __call__(self, draw: Draw, labels: Tensor, epoch: int) -> Answer:
        """Take a step on the drawn members, int64 `labels` [B] on the CPU, in 0-based `epoch`; the candidate's answer.

        Raises CollapsedError on logits that are not finite, and whatever the candidate's call raises.
        """


class LossExchange:
    """Logits to the loss, its gradient back: a `step` in two halves and `loss` between them."""

    def __init__(self, step: Step, loss: Loss) -> None:
        self._step, self._loss = step, loss
        self.set_rate = step.set_rate

    def __call__(self, draw: Draw, labels: Tensor, epoch: int) -> Answer:
        logits = self._step.forward(draw)
        require_finite(logits, epoch)
        answer = self._loss(logits=logits, labels=labels, epoch=epoch)
        self._step.backward(answer.gradient)
        return answer


def require_finite(logits: Tensor, epoch: int) -> None:
    """Raises CollapsedError unless all `logits` are finite."""
    if not torch.isfinite(logits).all():
        raise CollapsedError(f"the model's logits are not finite in epoch {epoch}")
