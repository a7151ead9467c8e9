"""Claim: it is the comparison with α for every batch that keeps RelaxLoss from destroying the model."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from mlsbench.baselines.security_membership_inference_defense.relaxloss import MembershipDefense

CHANCE = 0.1


class Ungated(MembershipDefense):
    """RelaxLoss whose odd epochs flatten without asking where the batch's loss is."""

    def compute_loss(self, logits: Tensor, labels: Tensor, epoch: int) -> Tensor:
        return self.flatten(logits, labels) if epoch % 2 else super().compute_loss(logits, labels, epoch)


def accuracy_after_training(defense: MembershipDefense, seed: int) -> float:
    """Test accuracy of a small network on digits after six epochs of 22 steps."""
    digits = load_digits()
    images, labels = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for epoch in range(6):
            for batch in torch.randperm(1400).split(64):
                optimizer.zero_grad()
                defense.compute_loss(model(images[batch]), labels[batch], epoch).backward()
                optimizer.step()
    with torch.no_grad():
        return (model(images[1400:]).argmax(dim=1) == labels[1400:]).float().mean().item()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_relaxloss_with_the_comparison_learns(seed: int) -> None:
    assert accuracy_after_training(MembershipDefense(), seed) > 4 * CHANCE


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_relaxloss_without_the_comparison_ends_at_chance(seed: int) -> None:
    assert accuracy_after_training(Ungated(), seed) < 1.5 * CHANCE
