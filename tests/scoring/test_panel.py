"""The level under no leakage is what permuted membership gives, and the whole panel keeps to it where nothing leaks."""

from __future__ import annotations

import numpy as np
import pytest
from attack_arrays import model, untrained

from mlsbench.scoring.attacks import Target
from mlsbench.scoring.membership import membership_auc
from mlsbench.scoring.panel import audit_1, chance_level


def test_the_level_is_that_of_permuted_membership() -> None:
    outputs = model((5, 2), (3, 2), right=(0.95, 0.7), examples=600)
    values = [outputs.scaled_logit, outputs.logits.max(axis=1).astype(float), np.round(outputs.scaled_logit / 4)]
    level = chance_level(values, [False] * 3, outputs.member)
    random, largest = np.random.default_rng(1), []
    for _ in range(1500):
        member = random.permutation(outputs.member)
        largest.append(max(abs(membership_auc(v, member) - 0.5) for v in values))
    assert level.mean == pytest.approx(np.mean(largest), rel=0.06)
    assert level.high == pytest.approx(np.quantile(largest, 0.95), rel=0.08)


def test_equal_attacks_are_one_and_fitted_ones_count_apart() -> None:
    outputs = untrained(600)
    one = chance_level([outputs.scaled_logit], [False], outputs.member)
    same, apart = (chance_level([outputs.scaled_logit] * 5, [fitted] * 5, outputs.member) for fitted in (False, True))
    assert same.mean == pytest.approx(one.mean, rel=0.03)
    assert apart.mean > 2 * one.mean


def test_the_level_shrinks_with_the_examples() -> None:
    levels = [audit_1(Target(untrained(n))).chance.mean for n in (500, 8000)]
    assert levels[0] == pytest.approx(4 * levels[1], rel=0.1)


def test_where_nothing_leaks_the_panel_keeps_to_its_level() -> None:
    panels = [audit_1(Target(untrained(400, classes=4, seed=seed))) for seed in range(0, 60, 2)]
    level = np.mean([panel.chance.mean for panel in panels])
    assert np.mean([panel.largest for panel in panels]) == pytest.approx(level, rel=0.15)
    assert sum(panel.largest > panel.chance.high for panel in panels) <= 4
