"""Claim: the baselines of the set defense compute their published formulas, against references in plain sums."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

PACKAGE = "mlsbench.baselines.security_membership_inference_set_defense"
SCALES = (0.25, 0.5, 1, 2, 4)


def defense(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{name}").SetDefense()


def outputs(labels: list[int], classes: int, seed: int) -> torch.Tensor:
    """Softmax outputs float64 [N, K] whose true class has logits 1 higher."""
    logits = torch.randn(len(labels), classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    logits[torch.arange(len(labels)), torch.tensor(labels)] += 1
    return logits.softmax(1)


def naive(members: np.ndarray, references: np.ndarray, labels: list[int]) -> float:
    """MMD² class by class as the double sums of the definition."""
    estimates = []
    for label in sorted(set(labels)):
        x, y = (values[[i for i, other in enumerate(labels) if other == label]] for values in (members, references))
        n = len(x)
        if n < 2:
            continue
        both = np.concatenate([x, y])
        squared = [((both[i] - both[j]) ** 2).sum() for i in range(2 * n) for j in range(2 * n) if i != j]
        b = max(float(np.mean(squared)), 0.01)

        def kernel(p: np.ndarray, q: np.ndarray, b: float = b) -> float:
            return float(np.mean([np.exp(-((p - q) ** 2).sum() / (b * scale)) for scale in SCALES]))

        pairs = [(i, j) for i in range(n) for j in range(n)]
        within = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in pairs if i != j) / (n * (n - 1))
        estimates.append(within - 2 * sum(kernel(x[i], y[j]) for i, j in pairs) / n**2)
    return float(np.mean(estimates))


LABELS = {
    "uneven classes": [0, 1, 1, 2, 2, 2, 2, 5, 5, 5],
    "one class": [3] * 8,
    "a single one among pairs": [0, 7, 7, 9, 9],
}


@pytest.mark.parametrize("name", ["mmd", "mmd_mixup"])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_mmd_is_the_double_sum_of_its_definition(name: str, labels: list[int]) -> None:
    x, y = outputs(labels, 10, 1), outputs(labels, 10, 2)
    found = defense(name).mmd(x, y, torch.tensor(labels))
    assert found.item() == pytest.approx(naive(x.numpy(), y.numpy(), labels), rel=1e-10, abs=1e-12)


def test_mmd_of_outputs_that_lie_together_has_a_bandwidth_still() -> None:
    labels = [1, 1, 1, 4, 4]
    x = outputs(labels, 10, 1)
    y = x + 1e-5 * outputs(labels, 10, 2)
    found = defense("mmd").mmd(x, y, torch.tensor(labels))
    assert found.item() == pytest.approx(naive(x.numpy(), y.numpy(), labels), rel=1e-6, abs=1e-12)


def test_mmd_is_zero_on_average_between_equal_distributions_and_not_between_others() -> None:
    labels = [0] * 6
    draws = [(outputs(labels, 3, 2 * s), outputs(labels, 3, 2 * s + 1)) for s in range(400)]
    mmd = defense("mmd").mmd
    equal = torch.stack([mmd(x, y, torch.tensor(labels)) for x, y in draws])
    other = torch.stack([mmd(x, y.flip(1), torch.tensor(labels)) for x, y in draws])
    assert abs(equal.mean()) < 4 * equal.std() / 20
    assert other.mean() > 10 * equal.std() / 20


def test_the_gradient_of_mmd_is_the_slope_in_the_members_with_the_bandwidth_held() -> None:
    labels = [0, 0, 0, 2, 2]
    x, y = outputs(labels, 4, 1).requires_grad_(), outputs(labels, 4, 2)
    way = defense("mmd")
    way.least = 0.5  # above every mean distance here, so that it is the bandwidth whatever x is
    way.mmd(x, y, torch.tensor(labels)).backward()
    assert torch.autograd.gradcheck(lambda z: way.mmd(z, y, torch.tensor(labels)), (x,))
    assert x.grad is not None
    assert x.grad.abs().sum() > 0.01


def test_a_step_against_the_gradient_brings_members_nearer_to_the_references() -> None:
    labels = [0] * 20
    start = torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    logits, y = start + 3 * torch.eye(5, dtype=torch.float64)[0], outputs(labels, 5, 2)
    before = None
    for _ in range(200):
        leaf = logits.clone().requires_grad_()
        distance = defense("mmd").mmd(leaf.softmax(1), y, torch.tensor(labels))
        before = distance.item() if before is None else before
        distance.backward()
        assert leaf.grad is not None
        logits = logits - 5 * leaf.grad
    assert distance.item() < before / 5


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [5]])
def test_without_two_members_of_a_class_there_is_no_distance_and_a_gradient_of_zero(labels: list[int]) -> None:
    x = outputs(labels, 10, 1).requires_grad_()
    found = defense("mmd").mmd(x, outputs(labels, 10, 2), torch.tensor(labels))
    found.backward()
    assert found.item() == 0
    assert x.grad is not None
    assert not x.grad.any()


WEIGHTS = {
    "none": {10: 0, 100: 0},
    "mixup": {10: 0, 100: 0},
    "mmd": {10: 0.5, 100: 4},
    "mmd_mixup": {10: 0.1, 100: 0.8},
}


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("name", WEIGHTS)
def test_the_loss_is_cross_entropy_and_where_it_says_so_the_weighted_distance(name: str, classes: int) -> None:
    weight = WEIGHTS[name][classes]
    generator = torch.Generator().manual_seed(1)
    logits, members, references = (torch.randn(64, classes, generator=generator, requires_grad=i < 2) for i in range(3))
    labels = torch.randint(classes, (64,), generator=generator)
    targets = 0.3 * F.one_hot(labels, classes).float() + 0.7 * F.one_hot(labels.flip(0), classes).float()
    loss = defense(name).compute_loss(logits, targets, members, references, labels, 0)
    loss.backward()
    expected = -(targets * logits.log_softmax(1)).sum() / 64
    if weight:
        x, y = (z.detach().double().softmax(1).numpy() for z in (members, references))
        expected = expected + weight * naive(x, y, labels.tolist())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (members.grad is not None and bool(members.grad.any())) == (weight > 0)
    torch.testing.assert_close(logits.grad, (logits.detach().softmax(1) - targets) / 64)


@pytest.mark.parametrize("name", ["mixup", "mmd_mixup"])
def test_mix_up_pairs_a_batch_with_itself_in_one_uniform_proportion(name: str) -> None:
    torch.manual_seed(1)
    way, proportions = defense(name), []
    for _ in range(500):
        partners, weights = way.mix(torch.zeros(32, dtype=torch.int64), 0)
        assert sorted(partners.tolist()) == list(range(32))
        assert weights.shape == (32,)
        assert weights.unique().numel() == 1
        proportions.append(weights[0].item())
    counts = np.histogram(proportions, bins=10, range=(0, 1))[0]
    assert ((counts - 50) ** 2 / 50).sum() < 33.7  # chi-squared with 9 degrees of freedom, 1 in 10,000


@pytest.mark.parametrize("name", ["none", "mmd"])
def test_the_others_mix_nothing(name: str) -> None:
    partners, weights = defense(name).mix(torch.arange(9), 3)
    assert partners.tolist() == list(range(9))
    assert (weights == 1).all()
