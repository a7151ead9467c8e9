"""The built-in dataset: scikit-learn's digits, 1,797 real 8×8 images that need no download."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from mlsbench.harness.data import prepared_order

TEST_EVERY = 5


def digits() -> dict[str, NDArray[Any]]:
    """The four arrays of a prepared dataset: grey values 0–16 scaled to 0–255, uint8 [N, 8, 8, 1], labels int64 [N].

    All images are sorted by data key; in that order every fifth, beginning with the first, is a test example.
    """
    raw = load_digits()
    images = np.rint(raw.images * 255 / 16).astype(np.uint8)[..., np.newaxis]
    labels = raw.target.astype(np.int64)
    order = prepared_order(images, labels)
    images, labels = images[order], labels[order]
    test = np.arange(len(labels)) % TEST_EVERY == 0
    return {
        "train_images": images[~test],
        "train_labels": labels[~test],
        "test_images": images[test],
        "test_labels": labels[test],
    }
