"""What a failed download is, and what its user is told."""

from __future__ import annotations

import tarfile
import zlib
from http.client import HTTPException

from mlsbench import UserError

# What torchvision lets through when a download fails or its files are damaged.
FAILED_READ = (OSError, RuntimeError, EOFError, HTTPException, tarfile.TarError, zlib.error)


def download_failed(name: str, error: BaseException, remedy: str) -> UserError:
    """The error that says what failed and what to do instead."""
    return UserError(f"the download of {name} failed ({type(error).__name__}: {error}). {remedy}")
