"""The small convolutional network of the first membership-inference attack (Shokri et al. 2017, arXiv:1610.05820)."""

from __future__ import annotations

from torch import nn

from mlsbench.harness.models.pooled import Shape

WIDTHS = (32, 64)
HIDDEN = 128


def shokri_cnn(classes: int, shape: Shape) -> nn.Module:
    """Two 5×5 convolutions with 2×2 max pooling, a fully connected layer of 128, one linear layer; tanh all through.

    The paper gives the layers' kinds, the 128 and tanh (section VI-B); kernels of 5×5 and widths of 32 and 64 are this
    project's choice, those usual for MNIST. Images end at a quarter of their side, rounded down twice.
    """
    height, width, channels = shape
    return nn.Sequential(
        nn.Conv2d(channels, WIDTHS[0], 5, padding=2), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(WIDTHS[0], WIDTHS[1], 5, padding=2), nn.Tanh(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(WIDTHS[1] * (height // 2 // 2) * (width // 2 // 2), HIDDEN), nn.Tanh(),
        nn.Linear(HIDDEN, classes),
    )  # fmt: skip
