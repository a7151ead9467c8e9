"""Images on the device and how a batch is made of them: one gather, augmentation and normalization, no data loader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass

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

    def batch(self, draw: Draw) -> Tensor:
        """The images of `draw` as a model takes them: float32 [B, C, H, W], channels last in memory."""
        if draw.shift is None or draw.flip is None:
            return self.plain(draw.order)
        return self.augmented(draw.order, draw.shift, draw.flip)

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


@dataclass(frozen=True)
class Draw:
    """What chance decides about one epoch: the images in order and, with augmentation, how each of them is moved.

    order: int64 [N], shift: int [N, 2] and flip: bool [N] on the images' device.
    """

    order: Tensor
    shift: Tensor | None = None
    flip: Tensor | None = None

    def __getitem__(self, part: slice) -> Draw:
        """The draw of one batch."""
        if self.shift is None or self.flip is None:
            return Draw(self.order[part])
        return Draw(self.order[part], self.shift[part], self.flip[part])

    def __len__(self) -> int:
        return len(self.order)

    def clone(self) -> Draw:
        """A copy."""
        return Draw(*(None if t is None else t.clone() for t in (self.order, self.shift, self.flip)))  # type: ignore[arg-type]

    def copy_(self, other: Draw) -> None:
        """Become equal to `other`, in place."""
        for mine, theirs in ((self.order, other.order), (self.shift, other.shift), (self.flip, other.flip)):
            if mine is not None and theirs is not None:
                mine.copy_(theirs, non_blocking=True)


def epoch_draws(
    images: Images, labels: Tensor, batch: int, augment: bool, order: torch.Generator, chance: torch.Generator
) -> Iterator[tuple[Draw, Tensor]]:
    """The draws of one epoch's batches, and their labels on their own device: every image once, the last batch smaller.

    `order` and `chance` are CPU generators, so that the same seed means the same batches on every device.
    """
    device = images.device
    permutation = torch.randperm(len(images), generator=order)
    shift = torch.randint(2 * PADDING + 1, (len(images), 2), generator=chance)
    flip = torch.randint(2, (len(images),), generator=chance) == 1
    shuffled, ordered = labels[permutation.to(labels.device)], permutation.to(device)
    whole = Draw(ordered, shift.to(device), flip.to(device)) if augment else Draw(ordered)
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        yield whole[part], shuffled[part]
