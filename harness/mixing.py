"""How a candidate mixes a batch: its partners and weights, checked, and what they make of images or targets."""

from __future__ import annotations

import torch
from torch import Tensor

from mlsbench.harness.caller import Caller
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.frames import Method
from mlsbench.sandbox.session import Session

METHOD = "mix"


class Mixture:
    """Asks a session's candidate by its `method` with whom each example of a batch is mixed, and how much."""

    def __init__(self, session: Session, method: Method) -> None:
        self._call = Caller(session, method)

    def __call__(self, labels: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """Partners, int64 [B] from 0 to B − 1, and weights, float32 [B] from 0 to 1, for int64 `labels` [B] on the CPU.

        Raises CandidateError, also for other numbers than these.
        """
        found = self._call({"labels": labels, "epoch": epoch}).outputs
        partners, weights = found["partners"].clone(), found["weights"].clone()
        if not ((partners >= 0) & (partners < len(labels))).all():
            raise CandidateError(f"{METHOD} returned partners that are not all from 0 to {len(labels) - 1}")
        if not ((weights >= 0) & (weights <= 1)).all():  # which NaN is not, either
            raise CandidateError(f"{METHOD} returned weights that are not all from 0 to 1")
        return partners, weights


def unmixed(batch: int) -> tuple[Tensor, Tensor]:
    """The partners and weights that leave a batch as it is."""
    return torch.arange(batch), torch.ones(batch)


def mixed(values: Tensor, partners: Tensor, weights: Tensor) -> Tensor:
    """weight · own + (1 − weight) · partner's of each of the B rows of float32 `values` [B, …]."""
    own = weights.view(-1, *[1] * (values.dim() - 1))
    return own * values + (1 - own) * values[partners]
