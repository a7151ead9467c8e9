"""Examples and a class that leak more than the rest are found by models that have no say in how much they leak."""

from __future__ import annotations

import numpy as np
import pytest
from attack_arrays import split, with_log_odds

from mlsbench.scoring.attacks import Outputs
from mlsbench.scoring.exposure import exposure

EXAMPLES, EXPOSED, CLASS = 3000, 30, 4
LABELS = np.random.default_rng(0).integers(10, size=EXAMPLES)


def models(seeds: tuple[int, ...], exposed: float = 0, worst_class: float = 0) -> dict[int, Outputs]:
    """Models that know the first thirty examples, and those of one class, better if they had them."""
    found = {}
    for seed in seeds:
        random, member = np.random.default_rng(seed), split(EXAMPLES, seed)
        odds = random.normal(3, 1, EXAMPLES) + exposed * member * (np.arange(EXAMPLES) < EXPOSED)
        odds += worst_class * member * (LABELS == CLASS)
        found[seed] = Outputs(with_log_odds(odds, LABELS, 10, random), LABELS, member)
    return found


def test_exposed_examples_are_found_where_the_average_hides_them() -> None:
    found = exposure(models((42, 43, 44, 45), exposed=6))
    assert found is not None
    assert found.worst_examples == 30
    assert found.worst_examples_auc is not None
    assert found.worst_examples_auc > 0.93
    assert {index for index, _ in found.effects[:EXPOSED]} == set(range(EXPOSED))
    assert found.effects[0][1] == pytest.approx(6, abs=3)


def test_the_worst_class_is_found() -> None:
    found = exposure(models((42, 43, 44, 45), worst_class=2))
    assert found is not None
    assert found.worst_class == CLASS
    assert found.worst_class_auc == pytest.approx(0.92, abs=0.03)  # Φ(2 / √2)


def test_where_nothing_leaks_choosing_the_worst_shows_nothing() -> None:
    aucs = []
    for first in range(0, 40, 4):
        found = exposure(models((first, first + 1, first + 2, first + 3)))
        assert found is not None
        assert found.worst_examples_auc is not None
        assert found.worst_class_auc is not None
        aucs.append((found.worst_examples_auc, found.worst_class_auc))
    assert np.mean(aucs, axis=0) == pytest.approx([0.5, 0.5], abs=0.05)


def test_one_pair_lists_effects_and_judges_nothing() -> None:
    found = exposure(models((42, 43), exposed=6))
    assert found is not None
    assert (found.worst_examples_auc, found.worst_class, found.worst_class_auc) == (None, None, None)
    assert len(found.effects) == 50


def test_half_a_pair_tells_nothing() -> None:
    assert exposure(models((42, 45))) is None


def test_where_no_class_has_both_kinds_there_is_no_worst_class() -> None:
    found = {}
    for seed, one in models((42, 43, 44, 45)).items():
        found[seed] = Outputs(one.logits, one.labels, (LABELS < CLASS) ^ (seed % 2 == 1))
    judged = exposure(found)
    assert judged is not None
    assert judged.worst_class_auc is None
