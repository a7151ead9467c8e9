"""What a membership-inference attack said, beside the truth: what its task's metrics are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.roc import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Attacked:
    """scores: float64 [E], finite, higher where an example rather is a member; member: bool [E], the truth."""

    scores: FloatArray
    member: BoolArray


def attack_kept(arrays: Mapping[str, NDArray[Any]]) -> Attacked:
    """The attack whose job kept `arrays`: scores float32 [N] and member bool [N], both in the pool's prepared order."""
    return Attacked(arrays["scores"].astype(np.float64), arrays["member"])
