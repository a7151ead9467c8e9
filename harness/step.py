"""One step of training in two halves, between which the oracle speaks: images to logits, gradient to new weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from mlsbench.harness.images import Draw, Images
from mlsbench.tasks.spec import Training

MOMENTUM = 0.9


class Step(Protocol):
    """Both halves of a step, and the learning rate. `name` is the way it is done."""

    name: str

    def set_rate(self, rate: float) -> None:
        """Use this learning rate from now on."""

    def forward(self, draw: Draw) -> Tensor:
        """float32 logits [B, K] on the CPU of the drawn images, in training mode; valid until the next call."""

    def backward(self, gradient: Tensor) -> None:
        """Change the weights by the gradient, float32 [B, K] on the CPU, of the logits that `forward` returned last."""


def make_optimizer(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """The optimizer of all parameters of `model`, at the first rate of `training`."""
    if training.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), training.lr, weight_decay=training.weight_decay, fused=True)
    return torch.optim.SGD(model.parameters(), training.lr, MOMENTUM, weight_decay=training.weight_decay, fused=True)


class EagerStep:
    """The plain way: the optimizer on all parameters; under bf16 the model runs in bfloat16 autocast over fp32 weights,
    and logits are float32."""

    name = "eager"

    def __init__(self, model: nn.Module, images: Images, training: Training, bf16: bool) -> None:
        self._model, self._images, self._bf16 = model, images, bf16
        self._optimizer = make_optimizer(model, training)

    def set_rate(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def forward(self, draw: Draw) -> Tensor:
        self._logits = self.logits(self._images.batch(draw))
        return self._logits.detach().cpu()

    def backward(self, gradient: Tensor) -> None:
        self.update([self._logits], [gradient])

    def logits(self, images: Tensor) -> Tensor:
        """float32 logits [B, K] of normalized images, on their device, as the model's mode has it."""
        with torch.autocast(self._images.device.type, torch.bfloat16, enabled=self._bf16):
            logits: Tensor = self._model(images)
        return logits.float()

    def update(self, logits: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """Change the weights once by the gradients, float32 [B, K], of as many logits; the sum where two are one."""
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(logits, [g.to(self._images.device) for g in gradients])
        self._optimizer.step()
