"""AlexNet for small images (Krizhevsky et al. 2012, in the one-tower form of Krizhevsky 2014, arXiv:1404.5997)."""

from __future__ import annotations

from torch import nn

from mlsbench.harness.models.pooled import PooledClassifier, Shape


def alexnet(classes: int, shape: Shape) -> nn.Module:
    """AlexNet in the usual CIFAR form: five convolutions, three poolings, one linear layer; 2.5 million parameters.

    Differs from the paper in the padding of the first convolution, 5 in place of 2, in the poolings, 2×2 without
    overlap, and in the head: one 256→classes layer in place of three with dropout. 32×32 images end as 1×1 maps, so
    they must not be smaller.
    """

    def shrink() -> list[nn.Module]:
        return [nn.ReLU(inplace=True), nn.MaxPool2d(2)]

    features = nn.Sequential(
        nn.Conv2d(shape[2], 64, 11, stride=4, padding=5), *shrink(),
        nn.Conv2d(64, 192, 5, padding=2), *shrink(),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1), *shrink(),
    )  # fmt: skip
    return PooledClassifier(features, 256, classes)
