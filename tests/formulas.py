"""References of losses in NumPy's float64, and the comparison of a submission's float32 loss with one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Array = np.ndarray


def value_and_gradient(candidate: Any, logits: Array, labels: Array, epoch: int) -> tuple[float, Array]:
    """Value and gradient (with respect to the logits) of `candidate.compute_loss` in float32."""
    leaf = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
    loss = candidate.compute_loss(leaf, torch.tensor(labels), epoch)
    assert loss.shape == ()
    assert loss.requires_grad
    loss.backward()
    assert leaf.grad is not None
    return loss.item(), leaf.grad.numpy().astype(np.float64)


def slope(function: Callable[[Array], float], at: Array) -> Array:
    """Central differences of `function` in every coordinate."""
    result = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[place] = 1e-5
        result[place] = (function(at + step) - function(at - step)) / 2e-5
    return result


def compare(candidate: Any, epoch: int, reference: Callable[[Array], float], logits: Array, labels: Array) -> None:
    """Asserts that `candidate` has the value and the gradient of `reference`, a function of the logits, at `logits`."""
    value, gradient = value_and_gradient(candidate, logits, labels, epoch)
    assert value == pytest.approx(reference(logits), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(gradient, slope(reference, logits), rtol=1e-4, atol=1e-6)


def probabilities(logits: Array) -> Array:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def cross_entropy(logits: Array, labels: Array) -> float:
    """Mean of log Σ exp(z) - z_y."""
    return float(np.mean([np.log(np.exp(z).sum()) - z[y] for z, y in zip(logits, labels, strict=True)]))


def batch(classes: int, confidence: float) -> tuple[Array, Array]:
    """Logits of 12 samples, three of them classified wrong, and labels; a higher confidence lowers the loss."""
    random = np.random.default_rng(classes)
    labels = random.integers(0, classes, 12)
    logits = random.normal(size=(12, classes)) * 0.5
    logits[np.arange(12), (labels + (np.arange(12) < 3)) % classes] += confidence
    return logits, labels
