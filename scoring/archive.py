"""Reads an `.npz` archive that somebody else may have written: it cannot unpack to more than it is."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mlsbench.scoring.record import read_whole

KEPT = tuple(map(np.dtype, (np.bool_, np.int64, np.float32)))
MOST_BYTES = 1 << 30  # of a file that a job keeps


def read_arrays(path: Path, names: Sequence[str], perhaps: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """The arrays `names` of the archive, and those of `perhaps` that it has, all as `numpy.savez` stores them.

    OSError if the file cannot be read; ValueError, saying why, for anything but plain arrays that are not compressed.
    """
    data = read_whole(path, MOST_BYTES)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = archive.namelist()
            return {name: _array(archive, f"{name}.npy") for name in (*names, *perhaps) if _wanted(name, names, found)}
    # What zipfile and numpy raise for an archive that is cut off, altered or something else.
    except (
        KeyError, TypeError, EOFError, RuntimeError, MemoryError, OverflowError, TokenError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise ValueError(f"it is no whole archive of plain arrays: {error}") from error


def _wanted(name: str, needed: Sequence[str], found: Sequence[str]) -> bool:
    return name in needed or f"{name}.npy" in found


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed, which no job's arrays are")
    file = io.BytesIO(archive.read(info))
    if npy.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is in another format than a job's arrays")
    shape, _, dtype = npy.read_array_header_1_0(file)
    if dtype not in KEPT:
        raise ValueError(f"{name} holds {dtype}, which no job's arrays do")
    if math.prod(shape) * dtype.itemsize != len(file.getbuffer()) - file.tell():
        raise ValueError(f"{name} does not hold what its header says")
    file.seek(0)
    return np.asarray(npy.read_array(file, allow_pickle=False))
