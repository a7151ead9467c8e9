"""MNIST and what took its form, FashionMNIST: four IDX files, found in a folder or downloaded."""

from __future__ import annotations

import contextlib
import gzip
import math
import sys
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.harness.downloads import FAILED_READ, download_failed

Arrays = dict[str, NDArray[Any]]

STEMS = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


class Origin(NamedTuple):
    """Where a dataset of this form comes from: torchvision's class of that name, or Debian's package and its folder."""

    kind: str
    debian_package: str = ""
    debian_folder: Path | None = None


ORIGINS = {
    "fashion_mnist": Origin("FashionMNIST", "dataset-fashion-mnist", Path("/usr/share/datasets/fashion-mnist")),
    "mnist": Origin("MNIST"),
}


def read_folder(folder: Path) -> Arrays:
    """The four arrays, in the source's order, of the IDX files in `folder`."""
    arrays: Arrays = {}
    for array, stem in STEMS.items():
        values = read_file(_file(folder, stem), dimensions=3 if array.endswith("images") else 1)
        arrays[array] = values[..., np.newaxis] if array.endswith("images") else values.astype(np.int64)
    for split in ("train", "test"):
        images, labels = len(arrays[f"{split}_images"]), len(arrays[f"{split}_labels"])
        if images != labels:
            raise UserError(f"{folder} holds {images} {split} images and {labels} labels; get its files again")
    return arrays


def read_file(path: Path, dimensions: int) -> NDArray[np.uint8]:
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


def _file(folder: Path, stem: str) -> Path:
    """The file of that stem, gzipped for preference: gzip's checksum shows a file that was cut off."""
    packed = folder / f"{stem}.gz"
    return packed if packed.exists() else folder / stem


def find(name: str, source: Path | None, downloads: Path) -> Path:
    """The folder of the four files of dataset `name`: `source` or its folder <kind>/raw, Debian's, or a download's.

    Raises UserError if `source` lacks files or a download fails.
    """
    origin = ORIGINS[name]
    candidates = [source, source / origin.kind / "raw"] if source else [origin.debian_folder]
    for candidate in candidates:
        if candidate and all(_file(candidate, stem).exists() for stem in STEMS.values()):
            return candidate
    if source:
        names = ", ".join(f"{stem}[.gz]" for stem in STEMS.values())
        raise UserError(f"{source} holds no whole {name}: {names} must be in it or in its {origin.kind}/raw")
    from torchvision import datasets

    return download(name, getattr(datasets, origin.kind), downloads)


def download(name: str, kind: Any, root: Path) -> Path:
    """The folder under `root` with the four packed files; those that are not there and whole are downloaded.

    Addresses and MD5s are those of `kind`, torchvision's class or one like it. Raises UserError if a download fails.
    """
    from torchvision.datasets.utils import download_url

    raw = root / ORIGINS[name].kind / "raw"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            for file, md5 in kind.resources:
                download_url(kind.mirrors[0] + file, str(raw), file, md5)
    except FAILED_READ as error:
        package = ORIGINS[name].debian_package
        other = f"Install Debian's package {package}, or get" if package else "Get"
        remedy = f"{other} the four .gz files from {kind.mirrors[0]} into DIR and run "
        raise download_failed(name, error, f"{remedy}`mlsbench data prepare {name} --from DIR`.") from error
    return raw
