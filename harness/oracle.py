"""The gradient oracle: logits and labels go in, a loss and its gradient with respect to the logits come out."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mlsbench.harness.caller import Caller
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.frames import Method
from mlsbench.sandbox.session import Session

METHOD = "compute_loss"


class Answer(NamedTuple):
    """A loss, its gradients by input (float32 [B, K] on the CPU), their 2-norm; `connected`: it depends on an input."""

    loss: float
    gradients: dict[str, Tensor]
    norm: float
    connected: bool

    @property
    def gradient(self) -> Tensor:
        """The gradient with respect to the logits."""
        return self.gradients["logits"]


class Oracle:
    """Asks a session's candidate for loss and gradient by its `method`. Gradients are valid until the next call."""

    def __init__(self, session: Session, method: Method) -> None:
        self._call, self._name = Caller(session, method), method.name

    def __call__(self, **arrays: Tensor | int) -> Answer:
        """Ask about `arrays` on the CPU, of which the candidate gets what its contract names.

        Raises CandidateError, also for a loss or gradient that is not finite.
        """
        returned = self._call(arrays)
        loss, gradients = returned.outputs["loss"].item(), returned.gradients
        norm = math.hypot(*(torch.linalg.vector_norm(g).item() for g in gradients.values()))
        if not math.isfinite(loss):
            raise CandidateError(f"{self._name} returned a loss of {loss}")
        # The norm of finite numbers can overflow, so only a look at each of them convicts.
        if not math.isfinite(norm) and not all(torch.isfinite(g).all() for g in gradients.values()):
            raise CandidateError(f"{self._name} has a gradient that is not finite")
        return Answer(loss, gradients, norm, returned.connected)
