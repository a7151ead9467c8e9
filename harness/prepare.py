"""`mlsbench data prepare` and `status`: any source of a dataset becomes the one file that jobs read.

torch is imported only when torchvision's reader is needed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.harness import cifar, idx, tables
from mlsbench.harness.data import BUILT_IN, DamagedData, assemble, load, preparation, prepared_order
from mlsbench.tasks.spec import Dataset

Arrays = dict[str, NDArray[Any]]
Progress = Callable[[str, int, int], None]

DOWNLOADS = (*cifar.KINDS, *idx.ORIGINS)


class State(NamedTuple):
    """A dataset's state: "ready", "missing", "damaged: …" or "built in"; its file, the file's size in bytes, and the
    command that prepares it."""

    name: str
    path: Path | None
    state: str
    size: int
    remedy: str


def status(datasets: Mapping[str, Dataset], folder: Path) -> list[State]:
    """The state of every dataset; each file is read and checked in full, about half a second for one."""
    return [_state(name, dataset, folder) for name, dataset in datasets.items()]


def _state(name: str, dataset: Dataset, folder: Path) -> State:
    if name in BUILT_IN:
        return State(name, None, "built in", 0, "")
    path, remedy = folder / f"{name}.npz", preparation(name, dataset)
    if not path.exists():
        return State(name, path, "missing", 0, remedy)
    try:
        load(name, dataset, folder)
        state = "ready"
    except DamagedData as error:
        state = f"damaged: {error.reason}"
    return State(name, path, state, path.stat().st_size, remedy)


def _silent(step: str, done: int, total: int) -> None:
    pass


def prepare(
    name: str, dataset: Dataset, folder: Path, source: Path | None = None, progress: Progress = _silent
) -> Path:
    """`folder`/<name>.npz, written unless it is there and right; returned is its path.

    Without `source`, what `DOWNLOADS` names is downloaded by torchvision into `folder`/downloads, but for FashionMNIST
    where Debian's package dataset-fashion-mnist is installed. `source` is a folder that torchvision filled, or for the
    MNISTs one of raw IDX files, gzipped or not; for any other dataset, a table, the user's own .npz file. Nothing is
    downloaded then. `progress` is called with the next step's name, the steps done and their number.

    The file appears whole or not at all, and only with the fingerprints of `dataset` if it has any. Raises UserError if
    a source is missing, damaged or another dataset, a download fails, or the folder cannot be written.
    """
    if name in BUILT_IN:
        raise UserError(f"dataset {name} is built in and needs no file")
    if name not in DOWNLOADS and not dataset.table:
        known = ", ".join(DOWNLOADS)
        raise UserError(f"dataset {name} has no known source; `mlsbench data prepare` knows {known}, and tables")
    path = folder / f"{name}.npz"
    named = source is not None and dataset.train_fingerprint is None  # which data these are only the user knows
    if not named and _state(name, dataset, folder).state == "ready":
        return path
    progress("read", 0, 4)
    arrays = _read(name, dataset, folder, source)
    progress("check", 1, 4)
    try:
        assemble(name, dataset, arrays)
    except ValueError as error:
        where = f"in {source}" if source else "found or downloaded"
        message = f"the files {where} are not the task's {name}: {error}. Give others with `--from DIR`."
        raise UserError(message) from error
    try:
        _write(path, arrays, progress)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}. Make room or set MLSBENCH_DATA.") from error
    progress("done", 4, 4)
    return path


def _sorted(arrays: Arrays) -> Arrays:
    prepared: Arrays = {}
    for split in ("train", "test"):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        order = prepared_order(images, labels)
        prepared[f"{split}_images"], prepared[f"{split}_labels"] = images[order], labels[order]
    return prepared


def _write(path: Path, arrays: Arrays, progress: Progress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its mode 0600 would lock other users out of a shared data folder.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with temporary.open("xb") as file:
            progress("write", 2, 4)
            np.savez(
                file,
                train_images=arrays["train_images"],
                train_labels=arrays["train_labels"],
                test_images=arrays["test_images"],
                test_labels=arrays["test_labels"],
            )
            progress("finish", 3, 4)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(name: str, dataset: Dataset, folder: Path, source: Path | None) -> Arrays:
    downloads = folder / "downloads"
    if name in cifar.KINDS:
        return _sorted(cifar.read(name, source, downloads))
    if name in idx.ORIGINS:
        return _sorted(idx.read_folder(idx.find(name, source, downloads)))
    return tables.read(name, dataset, source)
