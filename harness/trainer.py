"""Training with the oracle's gradients, and the logits of a trained model."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mlsbench.harness.exchange import CollapsedError, Exchange
from mlsbench.harness.images import Images, epoch_draws
from mlsbench.harness.oracle import Answer
from mlsbench.harness.split import RunSeeds
from mlsbench.tasks.spec import Training

EVALUATION_BATCH = 1000


@dataclass
class EpochStats:
    """What one epoch of training was like. `loss` and `gradient_norm` are means over its batches."""

    epoch: int
    lr: float
    loss: float = 0.0
    gradient_norm: float = 0.0
    zero_gradients: int = 0
    batches: int = 0
    seconds: float = 0.0
    measured: dict[str, float] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        """Count one batch in."""
        self.batches += 1
        self.loss += (answer.loss - self.loss) / self.batches
        self.gradient_norm += (answer.norm - self.gradient_norm) / self.batches
        self.zero_gradients += answer.norm == 0


def learning_rate(training: Training, epoch: int) -> float:
    """The rate of 0-based `epoch`: cosine from lr at epoch 0 to 0 at `epochs`, or a tenth at each milestone passed."""
    if training.schedule == "cosine":
        return training.lr * (1 + math.cos(math.pi * epoch / training.epochs)) / 2
    return float(training.lr * 0.1 ** sum(epoch >= m for m in training.milestones))


def train(
    model: nn.Module, exchange: Exchange, images: Images, labels: Tensor, training: Training, seeds: RunSeeds
) -> Iterator[EpochStats]:
    """Train `model` by the steps of `exchange`, made for it and `images`, with int64 `labels` [N] on the CPU.

    Yields after each epoch. The result depends on the arguments alone; on the CPU also on the number of threads. Raises
    CollapsedError on weights that are not finite, and whatever `exchange` raises.
    """
    order = torch.Generator().manual_seed(seeds.order)
    chance = torch.Generator().manual_seed(seeds.augment)
    for epoch in range(training.epochs):
        stats = EpochStats(epoch, learning_rate(training, epoch))
        started = time.monotonic()
        exchange.set_rate(stats.lr)
        model.train()
        for draw, targets in epoch_draws(images, labels, training.batch, training.augment, order, chance):
            stats.add(exchange(draw, targets, epoch))
        # Together, so that a GPU is waited for once and not for each tensor.
        values = torch.cat([v.flatten() for v in model.state_dict().values() if v.is_floating_point()])
        if not torch.isfinite(values).all():
            raise CollapsedError(f"the model's weights are not finite after epoch {epoch}")
        stats.seconds = time.monotonic() - started
        yield stats


@torch.no_grad()
def predict(model: nn.Module, images: Images, index: Tensor | None = None) -> Tensor:
    """float32 logits [N, K] on the CPU of `images`, or of those at `index`: evaluation mode, fp32, no augmentation."""
    model.eval()
    chosen = torch.arange(len(images)) if index is None else index
    return torch.cat([model(images.plain(part)).float().cpu() for part in torch.split(chosen, EVALUATION_BATCH)])
