"""Made-up images for trying attacks without a download: noisy copies of ten random patterns.

A quarter of them lie nearer to another pattern than to their own, so that a model which fits them all has memorized
them: unlike real digits, they leave an attack something to find, and there are enough for its rarest errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench.harness.data import prepared_order

SIDE, CLASSES, TRAIN, TEST = 8, 10, 2400, 600
FLIPPED = 35  # of a hundred pixels
SEED = 20


def prototypes() -> Mapping[str, NDArray[Any]]:
    """2,400 training and 600 test examples, as `digits` gives them; the same bytes on every machine."""
    random = np.random.RandomState(SEED)  # whose numbers, unlike those of newer generators, never change
    patterns = random.randint(2, size=(CLASSES, SIDE, SIDE))
    labels = np.arange(TRAIN + TEST, dtype=np.int64) % CLASSES
    flipped = random.randint(100, size=(len(labels), SIDE, SIDE)) < FLIPPED
    images = ((patterns[labels] ^ flipped) * 255).astype(np.uint8)[..., None]
    arrays = {}
    for split, chosen in (("train", slice(TRAIN)), ("test", slice(TRAIN, None))):
        order = prepared_order(images[chosen], labels[chosen])
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images[chosen][order], labels[chosen][order]
    return arrays
