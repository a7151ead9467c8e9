"""The gradient oracle: logits and labels go in, a loss and its gradient with respect to the logits come out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.frames import Layout
from mlsbench.sandbox.session import Session

METHOD = "compute_loss"


class Answer(NamedTuple):
    """A loss, its gradient (float32 [B, K] on the CPU), that one's 2-norm; `connected`: it depends on the logits."""

    loss: float
    gradient: Tensor
    norm: float
    connected: bool


@dataclass(frozen=True)
class _Views:
    layout: Layout
    logits: Tensor
    labels: Tensor
    epoch: Tensor
    loss: Tensor
    gradient: Tensor


class Oracle:
    """Asks a session's candidate for loss and gradient. The returned gradient is valid until the next call."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._views: dict[tuple[int, int], _Views] = {}

    def __call__(self, logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        """Ask about float32 `logits` [B, K] and int64 `labels` [B], both on the CPU, in 0-based `epoch`.

        Raises CandidateError, also for a loss or gradient that is not finite.
        """
        batch, classes = logits.shape
        views = self._views.get((batch, classes)) or self._make(batch, classes)
        views.logits.copy_(logits)
        views.labels.copy_(labels)
        views.epoch.fill_(epoch)
        connected = self._session.call(views.layout)
        loss, norm = views.loss.item(), torch.linalg.vector_norm(views.gradient).item()
        if not math.isfinite(loss):
            raise CandidateError(f"{METHOD} returned a loss of {loss}")
        # The norm of finite numbers can overflow, so only a look at each of them convicts.
        if not math.isfinite(norm) and not torch.isfinite(views.gradient).all():
            raise CandidateError(f"{METHOD} has a gradient that is not finite")
        return Answer(loss, views.gradient, norm, connected)

    def _make(self, batch: int, classes: int) -> _Views:
        layout = self._session.layout(METHOD, {"batch": batch, "classes": classes})
        views = _Views(
            layout,
            torch.frombuffer(layout.inputs["logits"], dtype=torch.float32).view(batch, classes),
            torch.frombuffer(layout.inputs["labels"], dtype=torch.int64),
            torch.frombuffer(layout.inputs["epoch"], dtype=torch.int64),
            torch.frombuffer(layout.outputs["loss"], dtype=torch.float32),
            torch.frombuffer(layout.gradients["logits"], dtype=torch.float32).view(batch, classes),
        )
        self._views[batch, classes] = views
        return views
