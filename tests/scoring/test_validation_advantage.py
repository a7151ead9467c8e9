"""The advantage on validation examples is near zero where nothing leaks, and an attack's where something does."""

from __future__ import annotations

import numpy as np
import pytest

from mlsbench.scoring.trained import Trained
from mlsbench.scoring.validation import validation_advantage


def model(seed: int = 0, size: int = 1000, shift: float = 0.0, member_shift: float = 0.0) -> Trained:
    """Logits of `size` members, non-members and validation examples each; shifts are of the true label's logit."""
    random = np.random.default_rng(seed)
    kind = random.permutation(np.repeat(np.arange(3), size))
    labels = random.integers(0, 10, 3 * size)
    logits = random.normal(size=(3 * size, 10)).astype(np.float32)
    logits[np.arange(3 * size), labels] += 2 + member_shift * (kind == 0) + shift * (kind == 2)
    none = np.zeros((0, 10), np.float32), np.zeros(0, np.int64)
    return Trained(logits, labels, labels, kind == 0, kind == 2, *none)


def test_without_a_leak_it_is_near_zero_as_documented() -> None:
    found = [validation_advantage(model(seed)) for seed in range(100)]
    deviation = 0.35 / 1000**0.5
    assert -0.5 * deviation < np.mean(found) < 1.5 * deviation
    assert np.std(found) < 1.5 * deviation
    assert max(found) < 5 * deviation


def test_members_play_no_part() -> None:
    assert validation_advantage(model(member_shift=8)) == validation_advantage(model())


@pytest.mark.parametrize(("shift", "least"), [(1, 0.1), (8, 0.4), (-2, 0.2)])
def test_a_leak_of_either_direction_is_seen(shift: float, least: float) -> None:
    assert validation_advantage(model(shift=shift)) > least


def test_a_memorized_validation_set_has_all_of_it() -> None:
    assert validation_advantage(model(shift=100)) == pytest.approx(0.5, abs=0.01)


def test_mislabelled_non_members_are_left_out() -> None:
    whole = model()
    wrong = ~whole.member & ~whole.validation & (np.arange(3000) % 2 == 0)
    labels = np.where(wrong, (whole.labels + 1) % 10, whole.labels)
    rest = Trained(whole.pool_logits, labels, whole.true_labels, whole.member, whole.validation, *(
        whole.test_logits, whole.test_labels
    ))  # fmt: skip
    kept = Trained(
        whole.pool_logits[~wrong], whole.labels[~wrong], whole.labels[~wrong], whole.member[~wrong],
        whole.validation[~wrong], whole.test_logits, whole.test_labels,
    )  # fmt: skip
    assert validation_advantage(rest) == validation_advantage(kept)
