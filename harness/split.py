"""Who is a member, and where a run's randomness comes from: both follow from the split key and the seed alone."""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError

PUBLIC = "public"
KEY_BYTES = 32


@dataclass(frozen=True)
class SplitKey:
    """The secret that decides membership. Only `name` and `digest` may be shown or kept in a record."""

    secret: bytes = field(repr=False)
    name: str  # "public" or the digest

    @property
    def digest(self) -> str:
        """SHA-256 of the key's bytes, in hex: it names a key without giving it away."""
        return hashlib.sha256(self.secret).hexdigest()


class RunSeeds(NamedTuple):
    """Seeds of a run's generators, each below 2**63; `model` is for what a model draws itself, such as dropout."""

    init: int
    order: int
    augment: int
    model: int = 0


def read_key(option: str) -> SplitKey:
    """The key that `--key` names: "public", or a file of 32 bytes that its owner alone can read.

    Raises UserError if the file is missing, a link, not regular, open to others or of another length.
    """
    if option == PUBLIC:
        return SplitKey(PUBLIC.encode(), PUBLIC)
    secret = _read_key_file(option)
    return SplitKey(secret, hashlib.sha256(secret).hexdigest())


def _read_key_file(option: str) -> bytes:
    try:
        # The checks are made on the opened file, so it cannot be exchanged after them; a pipe must not block.
        descriptor = os.open(option, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise _bad_key(option, "is a symbolic link, which is not followed") from error
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _bad_key(option, f"cannot be opened ({reason})") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _bad_key(option, "is not a regular file")
        if mode & 0o077:
            others = f"key file {option!r} has mode {stat.S_IMODE(mode):04o}, so others can reach it"
            raise UserError(f"{others}. `chmod 600 FILE` mends that, for a published key, too.")
        secret = os.read(descriptor, KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(secret) != KEY_BYTES:
        length = "more" if len(secret) > KEY_BYTES else str(len(secret))
        raise _bad_key(option, f"holds {length} bytes instead of {KEY_BYTES}")
    return secret


def _bad_key(option: str, reason: str) -> UserError:
    return UserError(
        f"key file {option!r} {reason}. Make a key with `head -c {KEY_BYTES} /dev/urandom > FILE; chmod 600 FILE`, "
        f"or use `--key {PUBLIC}` for the published split."
    )


def membership(key: bytes, seed: int, data_keys: Sequence[str]) -> NDArray[np.bool_]:
    """Which examples are members under `seed`: bool [N], in the order of `data_keys` (hex).

    An example's value is HMAC-SHA256(key, "split:" + ⌊seed / 2⌋ + ":" + its data key). Under an even seed the ⌊N / 2⌋
    examples of lowest value are members (equal values by position), under the odd seed after it those of highest, so
    the two seeds are a complementary pair. The middle one of an odd number is never a member: as many members under
    every seed tell a candidate nothing. Position matters only between equal data keys.
    """
    prefix = f"split:{seed // 2}:"
    values = [hmac.digest(key, (prefix + data_key).encode(), "sha256") for data_key in data_keys]
    ranked = sorted(range(len(values)), key=values.__getitem__)
    half = len(values) // 2
    member = np.zeros(len(values), dtype=np.bool_)
    member[ranked[:half] if seed % 2 == 0 else ranked[len(values) - half :]] = True
    return member


def secret_order(key: bytes, benchmark: str, seed: int, data_keys: Sequence[str]) -> NDArray[np.intp]:
    """The order in which an attack on the model of `seed` meets the examples: int [N], indices into `data_keys`.

    They are sorted by HMAC-SHA256(key, "order:" + benchmark + ":" + seed + ":" + data key), equal values by position:
    a place in it says nothing of the example, nor of the place that it has under another seed.
    """
    prefix = f"order:{benchmark}:{seed}:"
    values = [hmac.digest(key, (prefix + data_key).encode(), "sha256") for data_key in data_keys]
    return np.array(sorted(range(len(values)), key=values.__getitem__), dtype=np.intp)


def validation(key: bytes, data_keys: Sequence[str]) -> NDArray[np.bool_]:
    """Which examples are for validation under every seed: bool [N], in the order of `data_keys` (hex).

    They are the ⌊N / 3⌋ of lowest HMAC-SHA256(key, "validation:" + data key), equal values by position.
    """
    values = [hmac.digest(key, f"validation:{data_key}".encode(), "sha256") for data_key in data_keys]
    chosen = np.zeros(len(values), dtype=np.bool_)
    chosen[sorted(range(len(values)), key=values.__getitem__)[: len(values) // 3]] = True
    return chosen


def run_seeds(key: bytes, seed: int) -> RunSeeds:
    """Seeds for initialization, batch order, augmentation and the model's own draws.

    HMAC-SHA256(key, "run:" + seed) is 32 bytes. Its 8-byte words, big-endian, each shifted right by one bit (generators
    take 63 bits), are the seeds in that order.
    """
    digest = hmac.digest(key, f"run:{seed}".encode(), "sha256")
    return RunSeeds(*(int.from_bytes(digest[i : i + 8], "big") >> 1 for i in (0, 8, 16, 24)))


def reference_seed(key: bytes, seed: int) -> int:
    """The seed of the draws of validation examples: the first 63 bits of HMAC-SHA256(key, "references:" + seed)."""
    return int.from_bytes(hmac.digest(key, f"references:{seed}".encode(), "sha256")[:8], "big") >> 1
