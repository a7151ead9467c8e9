"""Made-up images to try attacks on without a download: noisy copies of ten random patterns.

A model that fits them all has memorized many, for the noise hides the pattern of some. So, unlike real digits, they
leave an attack something to find, and there are enough of them for a true-positive rate at 1 % false positives.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench.harness.data import train_and_test

SIDE, CLASSES, EACH = 8, 10, 300
FLIPPED = 90  # of 256: the chance that a pixel is not its pattern's


def prototypes() -> dict[str, NDArray[Any]]:
    """The four arrays of a prepared dataset: uint8 [N, 8, 8, 1] of 0 and 255, ten classes.

    A class is 64 random pixels, an example is its class with each pixel flipped by chance; 300 examples a class. All
    bits come from SHAKE-256, so that no version of a library changes them.
    """
    count, pixels = CLASSES * EACH, SIDE * SIDE
    stream = hashlib.shake_256(b"prototypes").digest((CLASSES + count) * pixels)
    drawn = np.frombuffer(stream, dtype=np.uint8).reshape(CLASSES + count, pixels)
    labels = np.repeat(np.arange(CLASSES, dtype=np.int64), EACH)
    bits = (drawn[:CLASSES] & 1)[labels] ^ (drawn[CLASSES:] < FLIPPED)
    return train_and_test((bits * 255).astype(np.uint8).reshape(count, SIDE, SIDE, 1), labels)
