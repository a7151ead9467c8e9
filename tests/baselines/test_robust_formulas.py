"""Claim: every robust loss computes its published formula, in value and gradient, against float64 references."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from formulas import Array, batch, compare, cross_entropy, probabilities, value_and_gradient


def baseline(name: str) -> Any:
    return importlib.import_module(f"mlsbench.baselines.security_poison_robust_learning.{name}").RobustLoss()


def bootstrapped(logits: Array, labels: Array) -> float:
    """Reed et al., equation of the soft target, β = 0.8."""
    p = probabilities(logits)
    target = 0.2 * p
    target[np.arange(len(labels)), labels] += 0.8
    return float(-(target * np.log(p)).sum(axis=1).mean())


def symmetric(logits: Array, labels: Array) -> float:
    """Wang et al., the reverse cross-entropy summed class by class with log 0 := -4 and log 1 = 0; α = 1, β = 0.5."""
    log_label = np.full(logits.shape, -4.0)
    log_label[np.arange(len(labels)), labels] = 0
    reverse = -(probabilities(logits) * log_label).sum(axis=1).mean()
    return cross_entropy(logits, labels) + 0.5 * float(reverse)


def generalized(logits: Array, labels: Array) -> float:
    """Zhang and Sabuncu, q = 0.7."""
    own = probabilities(logits)[np.arange(len(labels)), labels]
    return float(((1 - own**0.7) / 0.7).mean())


LOSSES: list[tuple[str, Callable[[Array, Array], float]]] = [
    ("cross_entropy", cross_entropy),
    ("soft_bootstrap", bootstrapped),
    ("symmetric_cross_entropy", symmetric),
    ("generalized_cross_entropy", generalized),
]


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("confidence", [0, 2, 6])
@pytest.mark.parametrize(("name", "reference"), LOSSES)
def test_the_loss_is_its_formula_in_every_epoch(
    name: str, reference: Callable[[Array, Array], float], confidence: float, classes: int
) -> None:
    logits, labels = batch(classes, confidence)
    for epoch in (0, 99):
        compare(baseline(name), epoch, lambda z: reference(z, labels), logits, labels)


@pytest.mark.parametrize("name", [name for name, _ in LOSSES])
def test_extreme_logits_leave_value_and_gradient_finite(name: str) -> None:
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]])
    value, gradient = value_and_gradient(baseline(name), logits, np.array([0, 0]), 0)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_soft_bootstrap_with_a_constant_target_would_be_cross_entropy_at_another_rate() -> None:
    logits, labels = batch(10, 2)
    _, gradient = value_and_gradient(baseline("soft_bootstrap"), logits, labels, 0)
    _, plain = value_and_gradient(baseline("cross_entropy"), logits, labels, 0)
    assert abs(gradient - 0.8 * plain).max() > 1e-3


def test_generalized_cross_entropy_lets_go_of_a_sample_that_the_model_contradicts() -> None:
    logits, labels = np.array([[12.0, 0.0, 0.0]]), np.array([1])
    _, robust = value_and_gradient(baseline("generalized_cross_entropy"), logits, labels, 0)
    _, plain = value_and_gradient(baseline("cross_entropy"), logits, labels, 0)
    assert abs(plain).max() > 0.99
    assert abs(robust).max() < 0.001
