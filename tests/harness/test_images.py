"""A batch is what the protocol says: each image once an epoch, padded, cropped and flipped before normalization."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional

from mlsbench.harness.images import PADDING, Images, epoch_draws

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
CPU = torch.device("cpu")


def pixels(count: int, height: int = 12, width: int = 10, channels: int = 3) -> Tensor:
    random = np.random.default_rng(3)
    return torch.from_numpy(random.integers(0, 256, (count, height, width, channels), dtype=np.uint8))


def reference(image: Tensor, top: int, left: int, flipped: bool) -> Tensor:
    """uint8 [H, W, C] as torchvision does it on a PIL image: pad with black, crop, mirror, to [0, 1], normalize."""
    height, width = image.shape[:2]
    picture = functional.pad(functional.to_pil_image(image.permute(2, 0, 1)), [PADDING], fill=0)
    picture = functional.crop(picture, top, left, height, width)
    picture = functional.hflip(picture) if flipped else picture
    return functional.normalize(functional.to_tensor(picture), MEAN, STD)


def generators(seed: int = 5) -> tuple[torch.Generator, torch.Generator]:
    return torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)


def numbered(count: int) -> Images:
    """Images of one pixel value each, its number, so that a batch tells which images it is made of."""
    each = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 8, 8, 1).contiguous()
    return Images(each, [0.0], [1 / 255], CPU)


def test_every_shift_and_flip_equals_torchvision() -> None:
    raw = pixels(2)
    images = Images(raw, MEAN, STD, CPU)
    for top, left, flipped in itertools.product(range(2 * PADDING + 1), range(2 * PADDING + 1), (False, True)):
        mine = images.augmented(torch.tensor([1]), torch.tensor([[top, left]]), torch.tensor([flipped]))
        torch.testing.assert_close(mine[0], reference(raw[1], top, left, flipped), rtol=0, atol=2e-6)


def test_each_image_of_a_batch_has_its_own_shift_and_flip() -> None:
    raw = pixels(4)
    index, flip = torch.tensor([2, 0, 3]), torch.tensor([True, False, True])
    shift = torch.tensor([[0, 8], [3, 4], [7, 1]])
    mine = Images(raw, MEAN, STD, CPU).augmented(index, shift, flip)
    for row, image, (top, left), flipped in zip(mine, index.tolist(), shift.tolist(), flip.tolist(), strict=True):
        torch.testing.assert_close(row, reference(raw[image], top, left, flipped), rtol=0, atol=2e-6)


def test_a_plain_image_equals_torchvision() -> None:
    raw = pixels(3)
    expected = torch.stack([reference(image, PADDING, PADDING, False) for image in raw])
    torch.testing.assert_close(Images(raw, MEAN, STD, CPU).plain(slice(None)), expected, rtol=0, atol=2e-6)


def test_padding_is_black_and_not_the_mean() -> None:
    images = Images(torch.full((1, 8, 8, 3), 255, dtype=torch.uint8), MEAN, STD, CPU)
    corner = images.augmented(torch.tensor([0]), torch.tensor([[0, 0]]), torch.tensor([False]))[0, :, 0, 0]
    torch.testing.assert_close(corner, -torch.tensor(MEAN) / torch.tensor(STD))


def test_a_subset_is_made_of_the_chosen_images_in_that_order() -> None:
    raw, chosen = pixels(5), torch.tensor([4, 1])
    images = Images(raw, MEAN, STD, CPU)
    images.augmented(torch.tensor([0]), torch.tensor([[0, 0]]), torch.tensor([False]))  # pads the whole set
    few = images.subset(chosen)
    shift, flip = torch.tensor([[1, 2], [3, 4]]), torch.tensor([False, True])
    assert len(few) == 2
    assert torch.equal(few.plain(slice(None)), images.plain(chosen))
    assert torch.equal(few.augmented(torch.tensor([0, 1]), shift, flip), images.augmented(chosen, shift, flip))


def epoch_batches(images: Images, *rest: Any) -> Iterator[tuple[Tensor, Tensor]]:
    for draw, targets in epoch_draws(images, *rest):
        yield images.batch(draw), targets


@pytest.mark.parametrize("augment", [False, True])
def test_the_model_gets_float32_with_channels_last_strides(augment: bool) -> None:
    images = Images(pixels(6), MEAN, STD, CPU)
    for inputs, _ in epoch_batches(images, torch.zeros(6, dtype=torch.int64), 4, augment, *generators()):
        assert inputs.dtype == torch.float32
        assert inputs.shape[1:] == (3, 12, 10)
        assert inputs.is_contiguous(memory_format=torch.channels_last)


def test_an_epoch_has_every_image_once_with_its_own_label() -> None:
    batches = list(epoch_batches(numbered(50), torch.arange(50), 8, False, *generators()))
    seen = [int(value) for inputs, _ in batches for value in inputs[:, 0, 0, 0]]
    assert Counter(seen) == Counter(range(50))
    assert seen == [int(label) for _, labels in batches for label in labels]


def test_the_last_smaller_batch_is_kept() -> None:
    batches = list(epoch_batches(numbered(50), torch.arange(50), 8, True, *generators()))
    assert [len(labels) for _, labels in batches] == [8] * 6 + [2]


def test_augmentation_leaves_the_order_alone() -> None:
    plain, augmented = (
        [labels for _, labels in epoch_batches(numbered(50), torch.arange(50), 8, a, *generators())]
        for a in (False, True)
    )
    assert all(torch.equal(a, b) for a, b in zip(plain, augmented, strict=True))


def test_the_same_seed_gives_the_same_batches_epoch_after_epoch() -> None:
    images, labels = Images(pixels(20), MEAN, STD, CPU), torch.arange(20)
    runs = []
    for _ in range(2):
        order, chance = generators()
        runs.append([b for _ in range(2) for b in epoch_batches(images, labels, 8, True, order, chance)])
    assert all(torch.equal(a, b) for one, two in zip(*runs, strict=True) for a, b in zip(one, two, strict=True))


def test_another_epoch_has_another_order() -> None:
    order, chance = generators()
    first, second = (next(epoch_batches(numbered(50), torch.arange(50), 50, False, order, chance))[1]
                     for _ in range(2))  # fmt: skip
    assert not torch.equal(first, second)


def test_shifts_and_flips_are_uniform() -> None:
    # One bright pixel in the middle: where it lands tells the shift, which side of it is grey tells the flip.
    marked = torch.zeros(9000, 11, 11, 1, dtype=torch.uint8)
    marked[:, 5, 5], marked[:, 5, 6] = 255, 100
    images = Images(marked, [0.0], [1 / 255], CPU)
    ((inputs, _),) = epoch_batches(images, torch.zeros(9000, dtype=torch.int64), 9000, True, *generators())
    rows = (inputs == 255).any(3).float().argmax(2).flatten()
    assert set(rows.tolist()) == set(range(5 - PADDING, 6 + PADDING))
    counts = torch.bincount(rows, minlength=11)[1:10]
    assert (counts - 1000).abs().max() < 5 * 1000**0.5
    left_of = (inputs.flatten(1).argmax(1) - (inputs == 100).flatten(1).float().argmax(1)) == 1
    assert abs(int(left_of.sum()) - 4500) < 5 * (9000 / 4) ** 0.5


def test_the_size_of_batches_decides_no_crop_or_flip() -> None:
    images, labels = Images(pixels(20), MEAN, STD, CPU), torch.arange(20)
    small, large = (torch.cat([x for x, _ in epoch_batches(images, labels, b, True, *generators())]) for b in (6, 20))
    assert torch.equal(small, large)
