"""The probe: does a candidate keep the contract at all? Asked in a worker of its own before any training."""

from __future__ import annotations

import torch

from mlsbench.harness.oracle import METHOD, Oracle
from mlsbench.harness.session import wire_method
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.session import Session
from mlsbench.tasks import Task

BATCHES = (128, 32, 2)
SEED = 7  # of the probe's logits, which say nothing about any run


def probe(session: Session, text: str, spec: Task, classes: int, epochs: int) -> None:
    """Load the candidate and ask it about random logits: three batch sizes, first and last epoch.

    Raises CandidateError if a call fails or if no path leads from a loss to the logits.
    """
    session.load(text)
    oracle = Oracle(session, wire_method(spec, METHOD))
    generator = torch.Generator().manual_seed(SEED)
    for epoch in (0, epochs - 1):
        for batch in BATCHES:
            logits = torch.randn(batch, classes, generator=generator)
            labels = torch.randint(classes, (batch,), generator=generator)
            if not oracle(logits=logits, labels=labels, epoch=epoch).connected:
                raise CandidateError("compute_loss returned a loss that does not depend on the logits")
    session.finish()
