"""The built-in images: scikit-learn's digits, 1,797 real 8×8 images that need no download."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from mlsbench.harness.data import train_and_test


def digits() -> dict[str, NDArray[Any]]:
    """The four arrays of a prepared dataset: grey values 0–16 scaled to 0–255, uint8 [N, 8, 8, 1], labels int64 [N]."""
    raw = load_digits()
    images = np.rint(raw.images * 255 / 16).astype(np.uint8)[..., np.newaxis]
    return train_and_test(images, raw.target.astype(np.int64))
