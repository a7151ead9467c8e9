"""Tables of binary features that only their owners may pass on, such as PURCHASE-100: read from the user's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.harness.data import read_archive, train_and_test
from mlsbench.tasks.spec import Dataset

FEATURES, LABELS = "features", "labels"
Arrays = dict[str, NDArray[Any]]


def read(name: str, dataset: Dataset, source: Path | None) -> Arrays:
    """The four arrays of a prepared dataset from `source`: an .npz file, or a folder that holds <name>.npz.

    The file has `features` [N, F], all 0 or 1, and `labels`, integers [N] from 0 or one-hot [N, classes]: the form in
    which PURCHASE-100 and TEXAS-100 go round. A row becomes an "image" uint8 [1, F, 1] of zeros and ones. Raises
    UserError, saying what to mend, for anything else; nothing is unpickled.
    """
    if source is None:
        raise UserError(
            f"{name} may not be passed on, so nothing can download it: run `mlsbench data prepare {name} --from "
            f"FILE.npz` with your own copy, arrays {FEATURES} [{dataset.train + dataset.test}, {dataset.shape[1]}] of "
            f"0 and 1 and {LABELS}"
        )
    path = source / f"{name}.npz" if source.is_dir() else source
    if not path.exists():
        raise UserError(f"there is no file {path}")
    try:
        arrays = read_archive(path, (FEATURES, LABELS))
        features = _features(arrays[FEATURES], dataset)
        labels = _labels(arrays[LABELS], dataset)
    except ValueError as error:
        raise UserError(f"{path} is no {name}: {error}") from error
    return train_and_test(features[:, np.newaxis, :, np.newaxis], labels)


def _features(found: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    form = (dataset.train + dataset.test, dataset.shape[1])
    if found.dtype.kind not in "buif" or found.shape != form:
        raise ValueError(f"{FEATURES} is {found.dtype} {list(found.shape)} instead of numbers {list(form)}")
    if ((found != 0) & (found != 1)).any():
        raise ValueError(f"{FEATURES} holds other values than 0 and 1")
    return found.astype(np.uint8)


def _labels(found: NDArray[Any], dataset: Dataset) -> NDArray[np.int64]:
    count, classes = dataset.train + dataset.test, dataset.classes
    if found.shape == (count, classes) and found.dtype.kind in "buif":
        if not (((found == 0) | (found == 1)).all() and (found.sum(axis=1) == 1).all()):
            raise ValueError(f"{LABELS} has rows that are not one-hot")
        return np.asarray(found.argmax(axis=1), dtype=np.int64)
    if found.dtype.kind not in "ui" or found.shape != (count,):
        forms = f"integers [{count}] or one-hot [{count}, {classes}]"
        raise ValueError(f"{LABELS} is {found.dtype} {list(found.shape)} instead of {forms}")
    if found.min() < 0 or found.max() >= classes:
        raise ValueError(f"{LABELS} goes from {found.min()} to {found.max()} instead of 0 to {classes - 1}")
    return found.astype(np.int64)
