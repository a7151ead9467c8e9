"""Asks a session's candidate for an attack: references go in, then a target, and one score an example comes out."""

from __future__ import annotations

import torch
from torch import Tensor

from mlsbench.harness.caller import Caller
from mlsbench.harness.session import wire_method
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.session import Session
from mlsbench.tasks import Task

FIT, SCORE = "fit", "score"
TRIED = ((2, 10), (4, 25))  # references, and examples of each class, in the probe
SEED = 7  # of the probe's logits, which say nothing about any run


class Attacker:
    """A candidate that attacks. Its methods raise CandidateError."""

    def __init__(self, session: Session, spec: Task) -> None:
        self._fit, self._score = (Caller(session, wire_method(spec, name)) for name in (FIT, SCORE))

    def fit(self, logits: Tensor, labels: Tensor, member: Tensor) -> None:
        """Give it references: float32 logits [R, E, K], int64 labels [E] and int64 member [R, E], 1 for a member."""
        self._fit({"logits": logits, "labels": labels, "member": member})

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Its scores, float32 [E] and finite, of a target's examples: float32 logits [E, K], int64 labels [E]."""
        scores = self._score({"logits": logits, "labels": labels}).outputs["scores"].clone()
        if wrong := int((~scores.isfinite()).sum()):
            raise CandidateError(f"{SCORE} returned {wrong} of {len(scores)} scores that are not finite")
        return scores


def probe_attack(session: Session, spec: Task, classes: int) -> None:
    """Ask a loaded candidate to attack random logits, two references and four. Raises CandidateError if a call fails.

    There are as many examples of each class, half of them a reference's members: no attack need do without a class.
    """
    generator = torch.Generator().manual_seed(SEED)
    for references, each in TRIED:
        attacker = Attacker(session, spec)
        labels = torch.arange(classes).repeat(each)
        logits = torch.randn(references + 1, len(labels), classes, generator=generator)
        half = torch.randperm(len(labels), generator=generator) % 2
        member = torch.stack([half, 1 - half]).repeat(references // 2, 1)
        attacker.fit(logits[1:], labels, member)
        attacker.score(logits[0], labels)
    session.finish()
