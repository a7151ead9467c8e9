"""Poison has wrong labels, follows from the key and the seed's members alone, and is as much as the task says."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np

from mlsbench.harness.canaries import mislabel
from mlsbench.harness.split import membership

KEYS = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(4000)]
LABELS = np.arange(4000) % 10
MEMBER = membership(b"k", 42, KEYS)


def test_only_members_are_poisoned_and_exactly_as_many_as_asked_for() -> None:
    labels, chosen = mislabel(b"k", KEYS, LABELS, 10, 200, "poison", MEMBER)
    assert chosen.sum() == 200
    assert not (chosen & ~MEMBER).any()
    np.testing.assert_array_equal(labels != LABELS, chosen)


def test_they_are_the_members_of_lowest_hmac_and_their_labels_another_hmacs() -> None:
    def value(purpose: str, key: str) -> int:
        return int.from_bytes(hmac.digest(b"k", f"{purpose}:{key}".encode(), "sha256"), "big")

    labels, chosen = mislabel(b"k", KEYS, LABELS, 10, 3, "poison", MEMBER)
    lowest = sorted(np.flatnonzero(MEMBER).tolist(), key=lambda i: value("poison", KEYS[i]))[:3]
    assert np.flatnonzero(chosen).tolist() == sorted(lowest)
    for i in lowest:
        assert labels[i] == (LABELS[i] + 1 + value("poison-label", KEYS[i]) % 9) % 10


def test_poison_tells_nothing_about_canaries() -> None:
    _, canary = mislabel(b"k", KEYS, LABELS, 10, 2000)
    _, poison = mislabel(b"k", KEYS, LABELS, 10, 1000, "poison", MEMBER)
    assert abs((canary & poison).sum() - 500) < 4 * np.sqrt(250)
