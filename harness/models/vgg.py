"""VGG-16 for small images (Simonyan and Zisserman 2015, arXiv:1409.1556, configuration D)."""

from __future__ import annotations

from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from mlsbench.harness.models.pooled import PooledClassifier, Shape


def vgg16bn(classes: int, shape: Shape, dropout: float = 0) -> nn.Module:
    """VGG-16-BN in CIFAR form: thirteen 3×3 convolutions with bias and batch norm, five max poolings, one linear layer.

    Differs from the paper in the batch norm after each convolution and in the head: one 512→classes layer in place of
    three with dropout. 32×32 images end as 1×1 maps, so they must not be smaller.
    """
    return _vgg16(classes, shape, dropout, batch_norm=True)


def vgg16(classes: int, shape: Shape) -> nn.Module:
    """VGG-16 in CIFAR form without batch norm, as in the paper; else as `vgg16bn`. 14.7 million parameters.

    Li, Li and Ribeiro (CODASPY 2021) do not say whether their VGG-16 has batch norm. They cite the paper, which has
    none, and train it like AlexNet at a rate of 0.01, while all their networks with batch norm get 0.1.
    """
    return _vgg16(classes, shape, 0, batch_norm=False)


def _vgg16(classes: int, shape: Shape, dropout: float, batch_norm: bool) -> nn.Module:
    features = make_layers(cfgs["D"], batch_norm=batch_norm)
    features[0] = nn.Conv2d(shape[2], 64, 3, padding=1)  # make_layers always takes three channels
    return PooledClassifier(features, 512, classes, dropout)
