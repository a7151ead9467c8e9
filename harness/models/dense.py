"""Networks of fully connected layers: for images taken as rows of numbers, and for tables."""

from __future__ import annotations

import itertools
import math

from torch import nn

from mlsbench.harness.models.pooled import Shape

TABULAR_WIDTHS = (1024, 512, 256, 128)


def mlp(classes: int, shape: Shape, dropout: float = 0) -> nn.Module:
    """One hidden layer of 128 ReLU units on all values of an image; training sets a share `dropout` of them to zero.

    The target and shadow models of the simplest membership-inference demonstrations.
    """
    thinned = nn.Dropout(dropout) if dropout else nn.Identity()
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 128), nn.ReLU(), thinned, nn.Linear(128, classes))


def tabular(classes: int, shape: Shape) -> nn.Module:
    """The usual network for PURCHASE-100 and TEXAS-100: hidden layers of 1,024, 512, 256 and 128 tanh units.

    Sizes as in Nasr et al. (IEEE S&P 2019, arXiv:1812.00910), tanh as in the code that Nasr et al. (CCS 2018,
    arXiv:1807.05852) published. 1.3 million parameters on 600 features.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise((math.prod(shape), *TABULAR_WIDTHS)):
        layers += [nn.Linear(before, after), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(TABULAR_WIDTHS[-1], classes))
