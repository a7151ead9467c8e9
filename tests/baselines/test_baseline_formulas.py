"""Claim: every baseline computes its published formula, in value and gradient, against float64 references in NumPy."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from formulas import Array, batch, compare, cross_entropy, probabilities, value_and_gradient

PACKAGE = "mlsbench.baselines.security_membership_inference_defense"


def loss_of(name: str, logits: Array, labels: Array, epoch: int) -> tuple[float, Array]:
    return value_and_gradient(importlib.import_module(f"{PACKAGE}.{name}").MembershipDefense(), logits, labels, epoch)


def check(name: str, epoch: int, reference: Callable[[Array], float], logits: Array, labels: Array) -> None:
    defense = importlib.import_module(f"{PACKAGE}.{name}").MembershipDefense()
    compare(defense, epoch, reference, logits, labels)


def smoothed(logits: Array, labels: Array) -> float:
    rows, classes = logits.shape
    target = np.full((rows, classes), 0.1 / classes)
    target[np.arange(rows), labels] += 0.9
    return float(-(target * np.log(probabilities(logits))).sum() / rows)


def penalized(logits: Array, labels: Array) -> float:
    p = probabilities(logits)
    entropy = [-sum(q * np.log(q) for q in row) for row in p]
    return cross_entropy(logits, labels) - 0.1 * float(np.mean(entropy))


def flattened(logits: Array, labels: Array, frozen: Array, upper: float = 1.0) -> float:
    """RelaxLoss's posterior flattening, sample by sample; soft targets are taken from the constant `frozen` logits."""
    total = 0.0
    for z, y, constant in zip(logits, labels, probabilities(frozen), strict=True):
        log_p = z - np.log(np.exp(z).sum())
        if int(np.argmax(z)) != y:
            own = min(constant[y], upper)
            total -= own * log_p[y]
            total -= sum((1 - own) / (len(z) - 1) * log_p[k] for k in range(len(z)) if k != y)
        total += log_p[y]
    return total / len(labels)


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("erm", cross_entropy),
        ("label_smoothing", smoothed),
        ("confidence_penalty", penalized),
        ("scaled_loss", lambda logits, labels: cross_entropy(logits, labels) / 2),
    ],
)
def test_the_loss_is_its_formula_in_every_epoch(name: str, reference: Callable[..., float], classes: int) -> None:
    logits, labels = batch(classes, 2)
    for epoch in (0, 99):
        check(name, epoch, lambda z: reference(z, labels), logits, labels)


@pytest.mark.parametrize(
    ("epoch", "share"), [(0, 1), (35, 1), (36, 0.8), (37, 0.6), (38, 0.4), (39, 0.2), (40, 0), (41, 0), (99, 0)]
)
def test_early_stopping_fades_to_exactly_zero_at_epoch_40(epoch: int, share: float) -> None:
    logits, labels = batch(10, 2)
    check("early_stopping", epoch, lambda z: share * cross_entropy(z, labels), logits, labels)
    if share == 0:
        assert not loss_of("early_stopping", logits, labels, epoch)[1].any()


ALPHA = {10: 1.0, 100: 0.5}


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize(("confidence", "above"), [(1, True), (30, False)])
def test_relaxloss_is_the_distance_to_alpha_in_even_epochs(classes: int, confidence: float, above: bool) -> None:
    logits, labels = batch(classes, confidence)
    if not above:
        labels = logits.argmax(axis=1)
    assert (cross_entropy(logits, labels) > ALPHA[classes]) == above
    for epoch in (0, 2, 98):
        check("relaxloss", epoch, lambda z: abs(cross_entropy(z, labels) - ALPHA[classes]), logits, labels)


@pytest.mark.parametrize("classes", [10, 100])
def test_relaxloss_is_cross_entropy_above_alpha_in_odd_epochs(classes: int) -> None:
    logits, labels = batch(classes, 1)
    assert cross_entropy(logits, labels) > ALPHA[classes]
    for epoch in (1, 99):
        check("relaxloss", epoch, lambda z: cross_entropy(z, labels), logits, labels)


@pytest.mark.parametrize(("classes", "confidence"), [(10, 2.5), (100, 7)])
def test_relaxloss_flattens_below_alpha_in_odd_epochs(classes: int, confidence: float) -> None:
    logits, labels = batch(classes, confidence)
    wrong = np.arange(12) < 3
    logits[wrong, labels[wrong]] = logits[wrong].max(axis=1) - 0.1  # wrong by little, so that the loss stays below α
    assert (logits.argmax(axis=1) != labels).sum() == 3
    assert cross_entropy(logits, labels) <= ALPHA[classes]
    for epoch in (1, 99):
        check("relaxloss", epoch, lambda z: flattened(z, labels, logits), logits, labels)


def test_relaxloss_clamps_the_soft_targets_at_upper() -> None:
    logits, labels = batch(10, 1)
    defense = importlib.import_module(f"{PACKAGE}.relaxloss").MembershipDefense()
    assert defense.upper == 1.0
    defense.upper = 0.05
    loss = defense.flatten(torch.tensor(logits), torch.tensor(labels)).item()
    assert loss == pytest.approx(flattened(logits, labels, logits, upper=0.05), rel=1e-5)
    assert loss != pytest.approx(flattened(logits, labels, logits), rel=1e-3)


def test_relaxloss_knows_alpha_for_10_and_100_classes_only() -> None:
    logits, labels = batch(7, 1)
    with pytest.raises(KeyError):
        loss_of("relaxloss", logits, labels, 0)
