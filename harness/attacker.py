"""Asks a session's candidate for an attack: references go in, then a target, and one score an example comes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.session import Session

FIT, SCORE = "fit", "score"

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Attacker:
    """A candidate that attacks. All methods raise CandidateError."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def fit(self, logits: Sequence[Floats], labels: Ints, member: Sequence[NDArray[np.bool_]]) -> None:
        """Give it the references: of each its logits [E, K] and who was its member [E]; labels [E] are everybody's."""
        examples, classes = logits[0].shape
        dims = {"references": len(logits), "examples": examples, "classes": classes}
        layout = self._session.layout(FIT, dims)
        every = np.frombuffer(layout.inputs["logits"], np.float32).reshape(len(logits), examples, classes)
        known = np.frombuffer(layout.inputs["member"], np.int64).reshape(len(logits), examples)
        for place, (own, members) in enumerate(zip(logits, member, strict=True)):
            every[place], known[place] = own, members
        np.frombuffer(layout.inputs["labels"], np.int64)[:] = labels
        self._session.call(layout)

    def score(self, logits: Floats, labels: Ints) -> NDArray[np.float64]:
        """Its scores [E] of the target's examples, which are finite."""
        examples, classes = logits.shape
        layout = self._session.layout(SCORE, {"examples": examples, "classes": classes})
        np.frombuffer(layout.inputs["logits"], np.float32)[:] = logits.ravel()
        np.frombuffer(layout.inputs["labels"], np.int64)[:] = labels
        self._session.call(layout)
        scores = np.frombuffer(layout.outputs["scores"], np.float32).astype(np.float64)
        if wrong := int((~np.isfinite(scores)).sum()):
            raise CandidateError(f"{SCORE} returned {wrong} of {examples} scores that are not finite")
        return scores
