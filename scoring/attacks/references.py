"""What the references say of each example: their models with it and without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.attacks.target import BoolArray, FloatArray, MissingReferencesError, Outputs

Counts = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Side:
    """Over the references with (or without) each example: count [N], mean [N], sum of squared deviations [N].

    The mean of an example that has none is 0.
    """

    count: Counts
    mean: FloatArray
    squares: FloatArray

    @property
    def some(self) -> BoolArray:
        """The examples that have any."""
        return self.count > 0


def with_and_without(references: Sequence[Outputs], feature: Callable[[Outputs], FloatArray]) -> tuple[Side, Side]:
    """`feature` [N] of the references that had each example, and of those that had not."""
    if not references:
        raise MissingReferencesError("needs another complementary pair of seeds")
    values = np.stack([feature(model) for model in references])
    member = np.stack([model.member for model in references])
    return _side(values, member), _side(values, ~member)


def few(count: Counts, wanted: int) -> str:
    """A note if examples have fewer than `wanted` references on a side, else nothing."""
    most = int(count.max(initial=0))
    return f"{most} models with and {most} without each example; {wanted} or more are wanted" if most < wanted else ""


def _side(values: FloatArray, chosen: BoolArray) -> Side:
    count = chosen.sum(axis=0)
    mean = np.where(chosen, values, 0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(chosen, values - mean, 0) ** 2
    return Side(count, mean, squares.sum(axis=0))
