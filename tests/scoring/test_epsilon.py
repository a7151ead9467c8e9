"""The bound on ε stays below the truth as often as it promises, and comes near it with many examples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlsbench.scoring.attacks.fitted import halves
from mlsbench.scoring.epsilon import epsilon_bound


def randomized_response(epsilon: float, examples: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Membership told truly with probability e^ε / (1 + e^ε): exactly ε-differentially private."""
    member = random.permutation(examples) < examples // 2
    told = random.random(examples) < math.exp(epsilon) / (1 + math.exp(epsilon))
    return np.where(told, member, ~member).astype(float), member


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_the_bound_is_above_the_truth_at_most_5_times_in_100(epsilon: float) -> None:
    random = np.random.default_rng(5)
    found = []
    for _ in range(150):
        values, member = randomized_response(epsilon, 600, random)
        found.append(epsilon_bound(values, member, *halves(member)))
    assert np.mean(np.array(found) > epsilon) <= 0.07


def test_the_bound_comes_near_the_truth() -> None:
    values, member = randomized_response(2.0, 40_000, np.random.default_rng(6))
    assert 1.85 < epsilon_bound(values, member, *halves(member)) < 2.0


def test_an_attack_that_is_sure_of_non_members_counts_as_much() -> None:
    random = np.random.default_rng(7)
    member = random.permutation(4000) < 2000
    seen = ~member & (random.random(4000) < 0.2)  # a fifth of the non-members is given away, no member ever is
    values = random.normal(size=4000) - 9 * seen
    assert epsilon_bound(values, member, *halves(member)) > 3
