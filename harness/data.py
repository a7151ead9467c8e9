"""Prepared datasets: where they lie, what identifies an example, how they are read and checked."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.tasks.spec import Dataset

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Arrays = Mapping[str, NDArray[Any]]

BUILT_IN = ("digits", "prototypes", "purchase_standin")
TEST_EVERY = 5
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")

# What numpy and zipfile raise for an archive that is cut off, altered or something else.
_UNREADABLE = (OSError, TypeError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Prepared:
    """A dataset in prepared order, that is sorted by data key: images uint8 [N, H, W, C], labels int64 [N].

    The training examples are the pool that a split divides into members and non-members. `fingerprint` is the
    SHA-256 (hex) of the training split's fingerprint followed by the test split's; `whole` is the same of the dataset
    with all its examples, which records call `data`.
    """

    name: str
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    train_keys: list[str]
    test_fingerprint: str
    fingerprint: str
    whole: str


class DamagedData(UserError):
    """A prepared file that is not what the task's specification says; `reason` is the difference alone."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def data_folder() -> Path:
    """The folder of prepared datasets: MLSBENCH_DATA, or mlsbench/data in the user's cache."""
    if chosen := os.environ.get("MLSBENCH_DATA"):
        return Path(chosen).expanduser()
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "mlsbench" / "data"
    try:
        return Path.home() / ".cache" / "mlsbench" / "data"
    except RuntimeError as error:
        raise UserError("no home folder to keep data in: set MLSBENCH_DATA to a folder") from error


def preparation(name: str, dataset: Dataset) -> str:
    """The command that prepares a dataset."""
    return f"mlsbench data prepare {name}{' --from FILE.npz' if dataset.table else ''}"


def data_keys(images: Images, labels: Labels) -> list[str]:
    """Each example's data key: SHA-256 (hex) of its image bytes (rows, channels last) and its label as one byte."""
    pairs = zip(images, labels.tolist(), strict=True)
    return [hashlib.sha256(image.tobytes() + bytes([label])).hexdigest() for image, label in pairs]


def fingerprint(keys: Sequence[str]) -> str:
    """SHA-256 (hex) of the concatenated hex data keys: it fixes a split's examples and their order."""
    return hashlib.sha256("".join(keys).encode()).hexdigest()


def prepared_order(images: Images, labels: Labels) -> NDArray[np.intp]:
    """The indices that sort examples by data key, int [N]; equal keys keep their order, which is then of no effect."""
    keys = data_keys(images, labels)
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)


def train_and_test(images: Images, labels: Labels) -> dict[str, NDArray[Any]]:
    """The four arrays of a prepared dataset that comes undivided.

    All examples are sorted by data key; in that order every fifth, beginning with the first, is a test example.
    """
    order = prepared_order(images, labels)
    test = np.arange(len(order)) % TEST_EVERY == 0
    return {
        f"{split}_{kind}": array[order][chosen]
        for split, chosen in (("train", ~test), ("test", test))
        for kind, array in (("images", images), ("labels", labels))
    }


def enlarge(images: Images, size: int) -> Images:
    """`images` [N, H, W, C] of height `size`, each pixel repeated size / H times both ways; ValueError if that is not
    whole."""
    height = images.shape[1]
    if size % height:
        raise ValueError(f"images of height {height} do not become {size} high by repeating whole pixels")
    times = size // height
    return images if times == 1 else images.repeat(times, axis=1).repeat(times, axis=2)


def assemble(name: str, dataset: Dataset, arrays: Arrays) -> Prepared:
    """The dataset made of `arrays`, known to equal `dataset`; a ValueError says what differs.

    If `dataset` has no fingerprints, any examples of the right form in prepared order are that dataset.
    """
    keys: dict[str, list[str]] = {}
    fingerprints: dict[str, str] = {}
    for split, count, expected in (
        ("train", dataset.train, dataset.train_fingerprint),
        ("test", dataset.test, dataset.test_fingerprint),
    ):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        _check_array(f"{split}_images", images, np.dtype(np.uint8), (count, *dataset.shape))
        _check_array(f"{split}_labels", labels, np.dtype(np.int64), (count,))
        if labels.min() < 0 or labels.max() >= dataset.classes:
            raise ValueError(f"{split}_labels has values outside 0 to {dataset.classes - 1}")
        keys[split] = data_keys(images, labels)
        found = fingerprints[split] = fingerprint(keys[split])
        if expected is None and keys[split] != sorted(keys[split]):
            raise ValueError(f"the {split} split is not sorted by data key")
        if expected is not None and found != expected:
            raise ValueError(f"the {split} split has fingerprint {found[:12]}… instead of {expected[:12]}…")
    whole = digest_of(fingerprints["train"], fingerprints["test"])
    return Prepared(
        name=name,
        **{array: arrays[array] for array in ARRAYS},
        train_keys=keys["train"],
        test_fingerprint=fingerprints["test"],
        fingerprint=whole,
        whole=whole,
    )


def digest_of(train_fingerprint: str, test_fingerprint: str) -> str:
    """The fingerprint of a dataset with splits of these fingerprints."""
    return hashlib.sha256((train_fingerprint + test_fingerprint).encode()).hexdigest()


def identified(name: str, dataset: Dataset, folder: Path | None = None) -> Dataset:
    """`dataset` with fingerprints: its own or, where it has none, those of what is prepared as `name`.

    Raises as `load` does.
    """
    if dataset.train_fingerprint is not None:
        return dataset
    data = load(name, dataset, folder)
    found = {"train_fingerprint": fingerprint(data.train_keys), "test_fingerprint": data.test_fingerprint}
    return dataset.model_copy(update=found)


def _check_array(name: str, array: NDArray[Any], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)} instead of {dtype} {list(shape)}")


def load(
    name: str, dataset: Dataset, folder: Path | None = None, members: int | None = None, parts: int = 2
) -> Prepared:
    """The prepared dataset `name`, checked against `dataset`; from `folder`/<name>.npz unless it is built in.

    `folder` defaults to `data_folder()`. `members` = M keeps the first `parts` · M training examples as the pool; the
    fingerprint then is that of the smaller pool. Raises UserError if the file is missing or the pool too small,
    DamagedData if the file is anything but the dataset.
    """
    prepared = _load_built_in(name, dataset) if name in BUILT_IN else _load_file(name, dataset, folder or data_folder())
    if members is None:
        return prepared
    pool = parts * members
    if not parts <= pool <= len(prepared.train_keys):
        most = len(prepared.train_keys) // parts
        raise UserError(f"members={members} does not fit: {name} has room for 1 to {most} members")
    keys = prepared.train_keys[:pool]
    return replace(
        prepared,
        train_images=prepared.train_images[:pool],
        train_labels=prepared.train_labels[:pool],
        train_keys=keys,
        fingerprint=digest_of(fingerprint(keys), prepared.test_fingerprint),
    )


def _load_built_in(name: str, dataset: Dataset) -> Prepared:
    try:
        return assemble(name, dataset, _built_in(name))
    except ValueError as error:
        message = f"the built-in {name} is not that of the task: {error}. Install mlsbench and scikit-learn again."
        raise DamagedData(message, str(error)) from error


def _built_in(name: str) -> Arrays:
    if name == "digits":
        from mlsbench.harness.digits import digits  # scikit-learn takes a second to import and only this needs it

        return digits()
    if name == "prototypes":
        from mlsbench.harness.prototypes import prototypes

        return prototypes()
    from mlsbench.harness.standin import purchase_standin  # it imports this module

    return purchase_standin()


def _load_file(name: str, dataset: Dataset, folder: Path) -> Prepared:
    path = folder / f"{name}.npz"
    remedy = f"`{preparation(name, dataset)}`"
    if not path.exists():
        raise UserError(f"dataset {name} is not prepared: there is no {path}. Run {remedy}.")
    try:
        return assemble(name, dataset, read_archive(path, ARRAYS))
    except ValueError as error:
        reason = str(error)
        message = f"{path} is not the prepared dataset {name}: {reason}. Remove it and run {remedy}."
        raise DamagedData(message, reason) from error


def read_archive(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays of these `names` in an .npz file; ValueError unless it has them, as plain numbers."""
    try:
        with path.open("rb") as file:  # np.load leaves a bad archive open
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is no .npz archive")
            if missing := [array for array in names if array not in archive.files]:
                raise ValueError(f"it lacks {', '.join(missing)}")
            return {array: archive[array] for array in names}
    except _UNREADABLE as error:
        raise ValueError(str(error)) from error
