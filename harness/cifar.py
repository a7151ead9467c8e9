"""CIFAR as torchvision downloads, unpacks and reads it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.harness.downloads import FAILED_READ, download_failed

KINDS = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}  # torchvision's classes

Arrays = dict[str, NDArray[Any]]


def read(name: str, source: Path | None, downloads: Path) -> Arrays:
    """The four arrays, in the source's order, of the dataset under `source` or, without that, of a download's."""
    from torchvision import datasets

    return read_as(name, getattr(datasets, KINDS[name]), source or downloads, download=source is None)


def read_as(name: str, kind: Callable[..., Any], root: Path, download: bool) -> Arrays:
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
    except FAILED_READ as error:
        base, url = getattr(kind, "base_folder", name), getattr(kind, "url", "its home page")
        if download:
            remedy = f"Get {url} on a machine that can, unpack it in DIR, and"
            raise download_failed(name, error, f"{remedy} run `mlsbench data prepare {name} --from DIR`.") from error
        raise UserError(f"{root} holds no whole {name}: {root / base} must be {url}, unpacked") from error
    return arrays
