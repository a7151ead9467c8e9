"""ResNets for small images (He et al. 2016, "Deep Residual Learning for Image Recognition", section 4.2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock

from mlsbench.harness.models.pooled import PooledClassifier, Shape

WIDTHS = (16, 32, 64)


class ShortcutA(nn.Module):
    """The paper's option A, without parameters: every second row and column, then channels of zeros behind the old."""

    def __init__(self, new_channels: int) -> None:
        super().__init__()
        self.new_channels = new_channels

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C + new_channels, ⌈H / 2⌉, ⌈W / 2⌉] from [N, C, H, W]."""
        return functional.pad(maps[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.new_channels))


def resnet20(classes: int, shape: Shape, dropout: float = 0) -> nn.Module:
    """ResNet-20: a 3×3 stem, three stages of three basic blocks with 16, 32 and 64 channels, one linear layer.

    0.27 million parameters. Differs from the paper in nothing but the number of input channels, classes and image
    size, which are the benchmark's.
    """
    return _resnet(3, classes, shape, dropout)


def resnet110(classes: int, shape: Shape) -> nn.Module:
    """ResNet-110: ResNet-20 with eighteen blocks a stage in place of three; 1.7 million parameters."""
    return _resnet(18, classes, shape, 0)


def _resnet(blocks: int, classes: int, shape: Shape, dropout: float) -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(shape[2], WIDTHS[0], 3, padding=1, bias=False),
        nn.BatchNorm2d(WIDTHS[0]),
        nn.ReLU(inplace=True),
    ]
    before = WIDTHS[0]
    for width in WIDTHS:
        for _ in range(blocks):
            grows = width != before
            shortcut = ShortcutA(width - before) if grows else None
            layers.append(BasicBlock(before, width, stride=2 if grows else 1, downsample=shortcut))
            before = width
    return PooledClassifier(nn.Sequential(*layers), before, classes, dropout)
