"""What most architectures end in: global average pooling and one linear layer."""

from __future__ import annotations

from torch import Tensor, nn

Shape = tuple[int, int, int]  # height, width and channels of the images that a model gets


class PooledClassifier(nn.Module):
    """`features` maps images to maps [N, width, h, w]; their means over positions go through one linear layer.

    The mean is `mean((2, 3))` and not `AdaptiveAvgPool2d`: the backward pass of the latter adds atomically on a GPU, in
    any order, so two equal runs would differ in their last bits; that of `mean` only spreads a value over positions.
    `dropout`: the share of these means that training sets to zero; it changes neither parameters nor evaluation.
    """

    def __init__(self, features: nn.Module, width: int, classes: int, dropout: float = 0) -> None:
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W]."""
        logits: Tensor = self.head(self.dropout(self.features(images).mean((2, 3))))
        return logits
