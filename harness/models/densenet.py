"""DenseNet-BC for small images (Huang et al. 2017, arXiv:1608.06993, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlsbench.harness.models.pooled import PooledClassifier, Shape

DEPTH, GROWTH, STAGES = 100, 12, 3
BLOCKS = (DEPTH - 4) // (2 * STAGES)  # of two convolutions each; the stem, two transitions and the head are the four


class DenseBlock(nn.Module):
    """Batch norm, ReLU and convolution, 1×1 to 4 × growth channels and again 3×3 to `growth`, behind the old maps."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.grow = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.ReLU(inplace=True),
            nn.Conv2d(before, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """[N, before + growth, H, W] from [N, before, H, W]."""
        return torch.cat([maps, self.grow(maps)], 1)


def densenet_bc_100_12(classes: int, shape: Shape) -> nn.Module:
    """DenseNet-BC of depth 100 and growth 12: a 3×3 stem of 24 channels, three stages of sixteen blocks, one linear
    layer.

    Between stages a 1×1 convolution halves the channels (compression 0.5) and 2×2 average pooling the maps. 0.77
    million parameters. As in the paper, without the dropout that it uses where images are not augmented.
    """
    width = 2 * GROWTH
    layers: list[nn.Module] = [nn.Conv2d(shape[2], width, 3, padding=1, bias=False)]
    for stage in range(STAGES):
        for _ in range(BLOCKS):
            layers.append(DenseBlock(width, GROWTH))
            width += GROWTH
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        if stage < STAGES - 1:
            layers += [nn.Conv2d(width, width // 2, 1, bias=False), nn.AvgPool2d(2)]
            width //= 2
    return PooledClassifier(nn.Sequential(*layers), width, classes)
