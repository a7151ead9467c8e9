"""Attacks by other models equal plain loops in float64, and references alone do not give membership away."""

from __future__ import annotations

import math

import numpy as np
import pytest
from attack_arrays import changed, model, split, untrained, with_log_odds

from mlsbench.scoring.attacks import (
    PAPER,
    REFERENCES,
    MissingReferencesError,
    Outputs,
    Target,
    complementary_references,
)
from mlsbench.scoring.attacks.calibrated import calibrated
from mlsbench.scoring.attacks.instance_vector import instance_vector
from mlsbench.scoring.attacks.lira import lira, lira_fixed
from mlsbench.scoring.attacks.rmia import rmia, rmia_offline
from mlsbench.scoring.membership import membership_auc

EXAMPLES = 60
SEEDS = (42, 43, 44, 45, 46, 47)


@pytest.fixture(scope="module")
def models() -> dict[int, Outputs]:
    labels = np.random.default_rng(0).integers(10, size=EXAMPLES)
    drawn = {s: model((5, 2), (3, 2), right=(0.95, 0.7), examples=EXAMPLES, seed=s) for s in SEEDS}
    return {s: changed(outputs, labels=labels) for s, outputs in drawn.items()}


@pytest.fixture(scope="module")
def target(models: dict[int, Outputs]) -> Target:
    return Target(models[42], complementary_references(models, 42))


def phi(outputs: Outputs, i: int) -> float:
    z = [float(v) for v in outputs.logits[i]]
    own = z.pop(int(outputs.labels[i]))
    return own - math.log(sum(math.exp(v) for v in z))


def p_label(outputs: Outputs, i: int) -> float:
    return 1 / (1 + math.exp(-phi(outputs, i)))


def sides(target: Target, i: int, feature: object) -> tuple[list[float], list[float]]:
    inside = [feature(r, i) for r in target.references if r.member[i]]  # type: ignore[operator]
    return inside, [feature(r, i) for r in target.references if not r.member[i]]  # type: ignore[operator]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def log_normal(x: float, mean: float, variance: float) -> float:
    return -((x - mean) ** 2) / (2 * variance) - math.log(2 * math.pi * variance) / 2


def squares(values: list[float]) -> float:
    return sum((v - mean(values)) ** 2 for v in values)


def test_lira_with_variances_of_each_example(target: Target) -> None:
    expected = []
    for i in range(EXAMPLES):
        inside, outside = sides(target, i, phi)
        at = phi(target.model, i)
        densities = [log_normal(at, mean(v), squares(v) / (len(v) - 1)) for v in (inside, outside)]
        expected.append(densities[0] - densities[1])
    assert lira(target).values == pytest.approx(expected)
    assert "2 models with and 2 without" in lira(target).note


def test_lira_with_one_variance(target: Target) -> None:
    every = [sides(target, i, phi) for i in range(EXAMPLES)]
    common = [sum(squares(e[s]) for e in every) / sum(len(e[s]) - 1 for e in every) for s in (0, 1)]
    expected = [
        log_normal(phi(target.model, i), mean(inside), common[0])
        - log_normal(phi(target.model, i), mean(outside), common[1])
        for i, (inside, outside) in enumerate(every)
    ]
    assert lira_fixed(target).values == pytest.approx(expected)


def test_lira_by_one_model_a_side_takes_equal_variances_and_says_so(models: dict[int, Outputs]) -> None:
    few = Target(models[42], complementary_references({s: models[s] for s in SEEDS[:4]}, 42))
    found = lira_fixed(few)
    nearer = []
    for i in range(EXAMPLES):
        (inside,), (outside,) = sides(few, i, phi)
        nearer.append(((phi(few.model, i) - outside) ** 2 - (phi(few.model, i) - inside) ** 2) / 2)
    assert found.values == pytest.approx(nearer)
    assert "equal variances" in found.note
    with pytest.raises(MissingReferencesError):
        lira(few)


def test_rmia_online_and_offline(target: Target) -> None:
    online, offline = [], []
    for i in range(EXAMPLES):
        inside, outside = sides(target, i, p_label)
        online.append(math.log(p_label(target.model, i) / ((mean(inside) + mean(outside)) / 2)))
        offline.append(math.log(p_label(target.model, i) / ((1.3 * mean(outside) + 0.7) / 2)))
    assert rmia(target).values == pytest.approx(online)
    assert rmia_offline(target).values == pytest.approx(offline)


def test_calibration_subtracts_the_models_without_the_example(target: Target) -> None:
    expected = [phi(target.model, i) - mean(sides(target, i, phi)[1]) for i in range(EXAMPLES)]
    assert calibrated(target).values == pytest.approx(expected)


def test_instance_vector_is_a_difference_of_divergences(target: Target) -> None:
    def vector(outputs: Outputs, i: int) -> np.ndarray:
        e = np.exp(outputs.logits[i].astype(float))
        return e / e.sum()

    expected = []
    for i in range(EXAMPLES):
        inside, outside = sides(target, i, vector)
        p = vector(target.model, i)
        far, near = (float((p * np.log(p / np.mean(v, axis=0))).sum()) for v in (outside, inside))
        expected.append(far - near)
    assert instance_vector(target).values == pytest.approx(expected)


def test_references_come_in_whole_pairs_without_the_targets_own(models: dict[int, Outputs]) -> None:
    some = {s: models[s] for s in (42, 43, 44, 46, 47)}
    assert complementary_references(some, 42) == (models[46], models[47])
    assert complementary_references({s: models[s] for s in (42, 43)}, 42) == ()


def test_how_many_references_had_an_example_does_not_depend_on_the_targets_membership(target: Target) -> None:
    count = sum(reference.member.astype(int) for reference in target.references)
    assert (count == 2).all()


@pytest.mark.parametrize("attack", [a for a in (*PAPER, *REFERENCES) if a.fitted == "references"], ids=lambda a: a.name)
def test_a_model_that_leaks_nothing_is_not_known_by_its_references(attack: object) -> None:
    labels = untrained(2000).labels
    blank = {s: changed(untrained(2000, seed=s), labels=labels) for s in SEEDS}
    found = attack.run(Target(blank[42], complementary_references(blank, 42)))  # type: ignore[attr-defined]
    assert found.scored.all()
    assert abs(membership_auc(found.values, blank[42].member) - 0.5) < 3 * 0.0129


@pytest.mark.parametrize("attack", [a for a in (*PAPER, *REFERENCES) if a.fitted == "references"], ids=lambda a: a.name)
def test_without_references_an_attack_says_what_it_needs(attack: object, models: dict[int, Outputs]) -> None:
    with pytest.raises(MissingReferencesError, match="pair"):
        attack.run(Target(models[42]))  # type: ignore[attr-defined]


def test_reference_attacks_see_what_thresholds_do_not() -> None:
    """Examples of very different difficulty, each a little easier for a model that had it."""
    random = np.random.default_rng(2)
    labels, hard = random.integers(10, size=2000), random.normal(0, 3, 2000)
    pool = {}
    for seed in SEEDS:
        member = split(2000, seed)
        odds = hard + 1.0 * member + random.normal(0, 0.5, 2000)
        pool[seed] = Outputs(with_log_odds(odds, labels, 10, random), labels, member)
    target = Target(pool[42], complementary_references(pool, 42))
    plain = membership_auc(target.model.scaled_logit, target.model.member)
    assert plain < 0.62
    for attack in (calibrated, lira_fixed, rmia):
        assert membership_auc(attack(target).values, target.model.member) > 0.78
