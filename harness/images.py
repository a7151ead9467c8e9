"""Images on the device and how a batch is made of them: one gather, augmentation and normalization, no data loader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy

import torch
from torch import Tensor

PADDING = 4


class Images:
    """uint8 images [N, H, W, C] on a device, which `batch` turns into what a model takes."""

    def __init__(self, images: Tensor, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self._images = images.to(device)
        self._padded: Tensor | None = None
        scale = 1 / torch.tensor(std, dtype=torch.float64)
        self._scale = (scale / 255).float().to(device)
        self._shift = (-torch.tensor(mean, dtype=torch.float64) * scale).float().to(device)

    @property
    def device(self) -> torch.device:
        """Where the images are and batches come from."""
        return self._images.device

    def __len__(self) -> int:
        return len(self._images)

    def subset(self, index: Tensor) -> Images:
        """The images at `index`, a copy on the same device."""
        chosen = copy(self)
        chosen._images, chosen._padded = self._images[index.to(self.device)], None
        return chosen

    def plain(self, index: Tensor | slice) -> Tensor:
        """Normalized float32 images [B, C, H, W], channels last in memory."""
        return self._normalize(self._images[index])

    def augmented(self, index: Tensor, shift: Tensor, flip: Tensor) -> Tensor:
        """Like `plain`, after black padding of 4, a crop at `shift` and, where `flip` says so, mirrored.

        shift: int [B, 2], 0 to 8, rows first; flip: bool [B].
        """
        if self._padded is None:
            self._padded = torch.nn.functional.pad(self._images, (0, 0, PADDING, PADDING, PADDING, PADDING))
        height, width = self._images.shape[1:3]
        ahead = torch.arange(width, device=index.device)
        columns = torch.where(flip[:, None], width - 1 - ahead, ahead) + shift[:, 1:]
        rows = torch.arange(height, device=index.device) + shift[:, :1]
        return self._normalize(self._padded[index[:, None, None], rows[:, :, None], columns[:, None, :]])

    def _normalize(self, images: Tensor) -> Tensor:
        # In this order nothing is moved: channels last is how the pixels lie.
        return torch.addcmul(self._shift, images.to(torch.float32), self._scale).permute(0, 3, 1, 2)


def epoch_batches(
    images: Images, labels: Tensor, batch: int, augment: bool, order: torch.Generator, chance: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of inputs and labels, each on its own device: every image once, the last batch smaller.

    `order` and `chance` are CPU generators, so that the same seed means the same batches on every device.
    """
    device = images.device
    permutation = torch.randperm(len(images), generator=order)
    shift = torch.randint(2 * PADDING + 1, (len(images), 2), generator=chance).to(device)
    flip = (torch.randint(2, (len(images),), generator=chance) == 1).to(device)
    shuffled, ordered = labels[permutation.to(labels.device)], permutation.to(device)
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        inputs = images.augmented(ordered[part], shift[part], flip[part]) if augment else images.plain(ordered[part])
        yield inputs, shuffled[part]
