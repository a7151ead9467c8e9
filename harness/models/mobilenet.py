"""MobileNetV2 for small images (Sandler et al. 2018, arXiv:1801.04381, table 2)."""

from __future__ import annotations

from torch import nn
from torchvision.models.mobilenetv2 import MobileNetV2

from mlsbench.harness.models.pooled import PooledClassifier, Shape

# Expansion, channels, blocks, stride of the first block; the second row's stride is 2 in the paper.
STAGES = [
    [1, 16, 1, 1],
    [6, 24, 2, 1],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
]


def mobilenetv2(classes: int, shape: Shape, dropout: float = 0) -> nn.Module:
    """MobileNetV2 of width 1 with CIFAR strides: images shrink eightfold, 28×28 to maps of 4×4.

    Differs from the paper in the strides of the stem and of the second stage, 1 in place of 2, and in the head, which
    has no dropout. The strides change the work thirteenfold, so they belong to the benchmark.
    """
    network = MobileNetV2(inverted_residual_setting=STAGES)
    network.features[0][0] = nn.Conv2d(shape[2], 32, 3, stride=1, padding=1, bias=False)
    return PooledClassifier(network.features, network.last_channel, classes, dropout)
