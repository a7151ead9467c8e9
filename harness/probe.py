"""The probe: does a candidate keep the contract at all? Asked in a worker of its own before any training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional

from mlsbench.harness.attacker import probe_attack
from mlsbench.harness.mixing import METHOD as MIX
from mlsbench.harness.mixing import Mixture, mixed, unmixed
from mlsbench.harness.oracle import METHOD, Oracle
from mlsbench.harness.session import wire_method
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.session import Session
from mlsbench.tasks import Task

BATCHES = (128, 32, 2)
LOGITS = ("logits", "member_logits", "reference_logits")
SEED = 7  # of the probe's logits, which say nothing about any run


def probe(session: Session, text: str, spec: Task, classes: int, epochs: int) -> None:
    """Load the candidate and ask its methods about random logits and labels: three batch sizes, first and last epoch.

    An attack is asked by `probe_attack`. Raises CandidateError if a call fails, or if no path leads from a loss to the
    logits.
    """
    session.load(text)
    if spec.procedure == "attack":
        probe_attack(session, spec, classes)
        return
    oracle = Oracle(session, wire_method(spec, METHOD))
    mixture = Mixture(session, wire_method(spec, MIX)) if MIX in spec.contract.methods else None
    generator = torch.Generator().manual_seed(SEED)
    for epoch in (0, epochs - 1):
        for batch in BATCHES:
            labels = torch.randint(classes, (batch,), generator=generator)
            with _asked(spec, MIX, batch, classes, epoch):
                partners, weights = mixture(labels, epoch) if mixture else unmixed(batch)
            arrays = {name: torch.randn(batch, classes, generator=generator) for name in LOGITS}
            arrays["targets"] = mixed(functional.one_hot(labels, classes).float(), partners, weights)
            with _asked(spec, METHOD, batch, classes, epoch):
                connected = oracle(**arrays, labels=labels, reference_labels=labels, epoch=epoch).connected
            if not connected:
                raise CandidateError("compute_loss returned a loss that does not depend on the logits")
    session.finish()


@contextmanager
def _asked(spec: Task, method: str, batch: int, classes: int, epoch: int) -> Iterator[None]:
    """Says beside a CandidateError which call it ended."""
    try:
        yield
    except CandidateError as error:
        names = ", ".join(array.name for array in wire_method(spec, method).inputs)
        sizes = f"{batch} examples, {classes} classes, epoch {epoch}"
        raise CandidateError(f"{error}; the call was {method}({names}) with {sizes}") from None
