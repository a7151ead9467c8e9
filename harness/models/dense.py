"""Fully connected networks: for images taken as rows of numbers, and for tables."""

from __future__ import annotations

import math

from torch import nn

from mlsbench.harness.models.pooled import Shape


def mlp(classes: int, shape: Shape, dropout: float = 0) -> nn.Module:
    """One hidden layer of 128 ReLU units on all values of an image; training sets a share `dropout` of them to zero.

    The target and shadow models of the simplest membership-inference demonstrations.
    """
    thinned = nn.Dropout(dropout) if dropout else nn.Identity()
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 128), nn.ReLU(), thinned, nn.Linear(128, classes))
