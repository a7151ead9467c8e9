"""Small models trained in this process with real losses, for tests of what an audit sees: seconds, no dataset needed.

A pool of noisy points in ten overlapping classes, a two-layer network, 1,000 members: cross-entropy learns all of them
by heart. With noise 1.7 it is right about seven in ten of the rest, with 1.2 about nine in ten.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mlsbench.scoring.attacks import Outputs
from mlsbench.scoring.membership import confidence_order, membership_auc

ROOT = Path(__file__).parent.parent
GAMING = ROOT / "tests" / "gaming"
BASELINES = ROOT / "baselines" / "security_membership_inference_defense"
CLASSES, POOL, TEST, SIZE = 10, 2000, 1000, 24


@dataclass(frozen=True, eq=False)
class Trained:
    """What a job would keep of such a training."""

    model: Outputs
    test_logits: np.ndarray[Any, Any]
    test_labels: np.ndarray[Any, Any]
    curve: tuple[float, ...]  # mia_auc after each epoch

    @property
    def test_acc(self) -> float:
        return float((self.test_logits.argmax(axis=1) == self.test_labels).mean())


@cache
def _data(noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, SIZE, generator=random)
    labels = torch.randint(CLASSES, (POOL + TEST,), generator=random)
    return centres[labels] + noise * torch.randn(POOL + TEST, SIZE, generator=random), labels


def _member(seed: int) -> np.ndarray[Any, Any]:
    low = np.argsort(np.random.default_rng(seed // 2).random(POOL)) < POOL // 2
    return low if seed % 2 == 0 else ~low


def _loss(path: Path) -> Any:
    names: dict[str, Any] = {"torch": torch, "F": F}
    exec(path.read_text(), names)
    return names["MembershipDefense"]()


@cache
def trained(path: Path, seed: int = 42, epochs: int = 20, noise: float = 1.7, width: int = 128) -> Trained:
    """The network after `epochs` with the loss in `path`; seeds 2k and 2k + 1 have complementary members."""
    torch.manual_seed(seed)
    inputs, labels = _data(noise)
    member = _member(seed)
    own = torch.from_numpy(np.flatnonzero(member))
    net = torch.nn.Sequential(torch.nn.Linear(SIZE, width), torch.nn.ReLU(), torch.nn.Linear(width, CLASSES))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    defense, curve = _loss(path), []
    for epoch in range(epochs):
        for batch in own[torch.randperm(len(own))].split(32):
            optimizer.zero_grad()
            defense.compute_loss(net(inputs[batch]), labels[batch], epoch).backward()
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            logits = net(inputs).numpy()
        curve.append(membership_auc(confidence_order(logits[:POOL]), member))
    model = Outputs(logits[:POOL], labels[:POOL].numpy(), member)
    return Trained(model, logits[POOL:], labels[POOL:].numpy(), tuple(curve))
