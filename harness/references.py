"""Validation examples for a loss to compare its members with."""

from __future__ import annotations

import torch
from torch import Tensor

from mlsbench import UserError
from mlsbench.harness.images import Images


class References:
    """Validation examples, drawn at random by the classes that are asked for.

    images: on the device; labels: int64 [N] on the CPU; seed: of the draws. Raises UserError if a class among `wanted`,
    the labels that will be asked for, has no example.
    """

    def __init__(self, images: Images, labels: Tensor, wanted: Tensor, seed: int) -> None:
        self._images, self._labels = images, labels
        self._by_class = labels.argsort(stable=True)
        self._counts = labels.bincount(minlength=int(wanted.max()) + 1)
        self._starts = self._counts.cumsum(0) - self._counts
        self._chance = torch.Generator().manual_seed(seed)
        if missing := [label for label in sorted(set(wanted.tolist())) if not self._counts[label]]:
            raise UserError(f"no validation example is of class {missing[0]}: take more members")

    def draw(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Normalized images [B, C, H, W], not augmented, of the classes of `labels` [B] in their order, and labels."""
        place = torch.rand(len(labels), dtype=torch.float64, generator=self._chance) * self._counts[labels]
        index = self._by_class[self._starts[labels] + place.long()]
        return self._images.plain(index.to(self._images.device)), self._labels[index]
