"""The built-in table: random bits in place of data that cannot be passed on. For tests; no result is about them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench.harness.data import train_and_test

CLASSES, FEATURES, EACH = 100, 600, 24
FLIPPED = 80  # of 256: the chance that an example's bit is not its class's


def purchase_standin() -> dict[str, NDArray[Any]]:
    """The four arrays of a prepared dataset in the form of PURCHASE-100: uint8 [N, 1, 600, 1] of 0 and 1, 100 classes.

    A class is 600 random bits, an example is its class with each bit flipped by chance; 24 examples a class. All bits
    come from SHAKE-256, so that no version of a library changes them.
    """
    count = CLASSES * EACH
    stream = hashlib.shake_256(b"purchase_standin").digest((CLASSES + count) * FEATURES)
    drawn = np.frombuffer(stream, dtype=np.uint8).reshape(CLASSES + count, FEATURES)
    labels = np.repeat(np.arange(CLASSES, dtype=np.int64), EACH)
    rows = (drawn[:CLASSES] & 1)[labels] ^ (drawn[CLASSES:] < FLIPPED)
    return train_and_test(rows.astype(np.uint8)[:, np.newaxis, :, np.newaxis], labels)
