"""What a membership-inference attack said, beside the truth: what its task's metrics are made of."""

from __future__ import annotations

from dataclasses import dataclass

from mlsbench.scoring.roc import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Attacked:
    """scores: float64 [E], finite, higher where an example rather is a member; member: bool [E], the truth."""

    scores: FloatArray
    member: BoolArray
