"""`mlsbench data prepare` and `status`: any source of a dataset becomes the one file that jobs read.

torch is imported only when torchvision's reader is needed.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import secrets
import sys
import tarfile
import zlib
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.harness.data import BUILT_IN, DamagedData, assemble, load, prepared_order
from mlsbench.tasks.spec import Dataset

Arrays = dict[str, NDArray[Any]]
Progress = Callable[[str, int, int], None]

SOURCES = ("cifar10", "cifar100", "fashion_mnist")
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
IDX_STEMS = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}

# What torchvision lets through when a download fails or its files are damaged.
_FAILED_READ = (OSError, RuntimeError, EOFError, HTTPException, tarfile.TarError, zlib.error)


class State(NamedTuple):
    """A dataset's state: "ready", "missing", "damaged: …" or "built in"; its file, and the file's size in bytes."""

    name: str
    path: Path | None
    state: str
    size: int


def status(datasets: Mapping[str, Dataset], folder: Path) -> list[State]:
    """The state of every dataset; each file is read and checked in full, about half a second for one."""
    return [_state(name, dataset, folder) for name, dataset in datasets.items()]


def _state(name: str, dataset: Dataset, folder: Path) -> State:
    if name in BUILT_IN:
        return State(name, None, "built in", 0)
    path = folder / f"{name}.npz"
    if not path.exists():
        return State(name, path, "missing", 0)
    try:
        load(name, dataset, folder)
        state = "ready"
    except DamagedData as error:
        state = f"damaged: {error.reason}"
    return State(name, path, state, path.stat().st_size)


def _silent(step: str, done: int, total: int) -> None:
    pass


def prepare(
    name: str, dataset: Dataset, folder: Path, source: Path | None = None, progress: Progress = _silent
) -> Path:
    """`folder`/<name>.npz, written unless it is there and right; returned is its path.

    Without `source`, CIFAR is downloaded by torchvision into `folder`/downloads, and so is FashionMNIST unless Debian's
    package dataset-fashion-mnist is installed (in /usr/share/datasets/fashion-mnist). `source` is a folder that
    torchvision filled, or for FashionMNIST one of raw IDX files, gzipped or not; nothing is downloaded then.
    `progress` is called with the next step's name, the steps done and their number.

    The file appears whole or not at all, and only with the fingerprints of `dataset`. Raises UserError if a source is
    missing, damaged or another dataset, a download fails, or the folder cannot be written.
    """
    if name not in SOURCES:
        reason = "is built in and needs no file" if name in BUILT_IN else "has no known source"
        raise UserError(f"dataset {name} {reason}; `mlsbench data prepare` knows {', '.join(SOURCES)}")
    path = folder / f"{name}.npz"
    if _state(name, dataset, folder).state == "ready":
        return path
    progress("read", 0, 4)
    arrays = _read(name, folder, source)
    progress("sort and check", 1, 4)
    try:
        arrays = _sorted(arrays)
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


def _read(name: str, folder: Path, source: Path | None) -> Arrays:
    if name == "fashion_mnist":
        return read_fashion_mnist(_fashion_mnist_folder(folder, source))
    from torchvision import datasets

    kind = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    return read_cifar(name, kind, source or folder / "downloads", download=source is None)


def read_cifar(name: str, kind: Callable[..., Any], root: Path, download: bool) -> Arrays:
    """The four arrays, in the source's order, that `kind`, torchvision's class or one like it, reads under `root`.

    The class checks its files' MD5 before it reads them. Raises UserError if it finds no whole dataset.
    """
    arrays: Arrays = {}
    try:
        # Some versions of torchvision print on stdout, which belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            for split in ("train", "test"):
                data = kind(str(root), train=split == "train", download=download)
                arrays[f"{split}_images"] = np.ascontiguousarray(data.data)
                arrays[f"{split}_labels"] = np.asarray(data.targets, dtype=np.int64)
    except _FAILED_READ as error:
        base, url = getattr(kind, "base_folder", name), getattr(kind, "url", "its home page")
        if download:
            remedy = f"Get {url} on a machine that can, unpack it in DIR, and"
            raise _download_failed(name, error, f"{remedy} run `mlsbench data prepare {name} --from DIR`.") from error
        raise UserError(f"{root} holds no whole {name}: {root / base} must be {url}, unpacked") from error
    return arrays


def read_fashion_mnist(folder: Path) -> Arrays:
    """The four arrays, in the source's order, of the IDX files in `folder`."""
    arrays: Arrays = {}
    for array, stem in IDX_STEMS.items():
        values = read_idx(_idx_file(folder, stem), dimensions=3 if array.endswith("images") else 1)
        arrays[array] = values[..., np.newaxis] if array.endswith("images") else values.astype(np.int64)
    for split in ("train", "test"):
        images, labels = len(arrays[f"{split}_images"]), len(arrays[f"{split}_labels"])
        if images != labels:
            raise UserError(f"{folder} holds {images} {split} images and {labels} labels; get its files again")
    return arrays


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The bytes of an IDX file, gzipped or not, as an array of `dimensions` dimensions.

    The format (yann.lecun.com/exdb/mnist): two zero bytes, type 8 (unsigned byte), number of dimensions, each dimension
    as four bytes big-endian, the values. Raises UserError for anything else.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    start = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) < start:
        raise UserError(f"{path} is no IDX file of bytes in {dimensions} dimensions")
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if len(content) - start != math.prod(shape):
        raise UserError(f"{path} has {len(content) - start} bytes of values; its header says {math.prod(shape)}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _idx_file(folder: Path, stem: str) -> Path:
    """The file of that stem, gzipped for preference: gzip's checksum shows a file that was cut off."""
    packed = folder / f"{stem}.gz"
    return packed if packed.exists() else folder / stem


def _fashion_mnist_folder(folder: Path, source: Path | None) -> Path:
    candidates = [source, source / "FashionMNIST" / "raw"] if source else [DEBIAN_FASHION_MNIST]
    for candidate in candidates:
        if all(_idx_file(candidate, stem).exists() for stem in IDX_STEMS.values()):
            return candidate
    if source:
        names = ", ".join(f"{stem}[.gz]" for stem in IDX_STEMS.values())
        raise UserError(f"{source} holds no whole fashion_mnist: {names} must be in it or in its FashionMNIST/raw")
    from torchvision.datasets import FashionMNIST

    return download_fashion_mnist(FashionMNIST, folder / "downloads")


def download_fashion_mnist(kind: Any, root: Path) -> Path:
    """The folder under `root` with the four packed files; those that are not there and whole are downloaded.

    Addresses and MD5s are those of `kind`, torchvision's class or one like it. Raises UserError if a download fails.
    """
    from torchvision.datasets.utils import download_url

    raw = root / "FashionMNIST" / "raw"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            for file, md5 in kind.resources:
                download_url(kind.mirrors[0] + file, str(raw), file, md5)
    except _FAILED_READ as error:
        remedy = (
            "Install Debian's package dataset-fashion-mnist, or get the four .gz files from "
            f"{kind.mirrors[0]} into DIR and run `mlsbench data prepare fashion_mnist --from DIR`."
        )
        raise _download_failed("fashion_mnist", error, remedy) from error
    return raw


def _download_failed(name: str, error: BaseException, remedy: str) -> UserError:
    return UserError(f"the download of {name} failed ({type(error).__name__}: {error}). {remedy}")
