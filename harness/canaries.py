"""Examples with a wrong label: canaries, whose membership a model gives away more easily than that of honest ones, and
poison, which a model should rather not learn."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def mislabel(
    key: bytes,
    data_keys: Sequence[str],
    labels: NDArray[np.int64],
    classes: int,
    count: int,
    purpose: str = "canary",
    among: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The labels to train with, int64 [N], and which `count` examples have a wrong one, bool [N].

    They are those of `among`, bool [N] (of all if None), with the lowest HMAC-SHA256(key, `purpose` + ":" + data key),
    data keys in hex (equal values by position). Such an example's label is the true one plus 1 plus v, modulo
    `classes`, with v = HMAC-SHA256(key, `purpose` + "-label:" + data key) as a big-endian number, modulo `classes` − 1:
    any other class is as likely.
    """

    def value(purpose: str, data_key: str) -> bytes:
        return hmac.digest(key, f"{purpose}:{data_key}".encode(), "sha256")

    chosen = np.zeros(len(labels), np.bool_)
    if count:  # the ranking takes a moment
        candidates = range(len(labels)) if among is None else np.flatnonzero(among).tolist()
        values = {i: value(purpose, data_keys[i]) for i in candidates}
        chosen[sorted(values, key=values.__getitem__)[:count]] = True
    trained = labels.copy()
    for i in np.flatnonzero(chosen).tolist():
        step = 1 + int.from_bytes(value(f"{purpose}-label", data_keys[i]), "big") % (classes - 1)
        trained[i] = (trained[i] + step) % classes
    return trained, chosen
