"""A step of training in which the candidate may mix the batch and compare its members with validation examples."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlsbench.harness.exchange import Loss, require_finite
from mlsbench.harness.images import Draw, Images
from mlsbench.harness.mixing import Mixture, mixed, unmixed
from mlsbench.harness.oracle import Answer
from mlsbench.harness.references import References
from mlsbench.harness.step import EagerStep


class SetExchange:
    """Mixes a batch as `mixture` says, shows `loss` the logits of the mixed batch, of the same members unmixed and of
    `references` of the same classes, and carries the gradients of the first two into `model`, which `step` trains.

    Both have a forward pass in training mode, one for both where nothing is mixed. References are seen in evaluation
    mode and without a gradient: neither weights nor running statistics know of them. Without `mixture` nothing is
    mixed, without `references` there are none.
    """

    def __init__(
        self, model: nn.Module, step: EagerStep, images: Images, mixture: Mixture | None,
        references: References | None, loss: Loss,
    ) -> None:  # fmt: skip
        self._model, self._step, self._images = model, step, images
        self._mixture, self._references, self._loss = mixture, references, loss
        self.set_rate = step.set_rate

    def __call__(self, draw: Draw, labels: Tensor, epoch: int) -> Answer:
        partners, weights = self._mixture(labels, epoch) if self._mixture else unmixed(len(labels))
        images, device = self._images.batch(draw), self._images.device
        whole = bool((weights == 1).all())
        logits = self._step.logits(images if whole else mixed(images, partners.to(device), weights.to(device)))
        outputs = {"logits": logits, "member_logits": logits if whole else self._step.logits(images)}
        targets = mixed(functional.one_hot(labels, logits.shape[1]).float(), partners, weights)
        arrays = {name: output.detach().cpu() for name, output in outputs.items()}
        arrays |= {"labels": labels, "targets": targets} | self._referred(labels)
        for name in ("logits", "member_logits", "reference_logits"):
            if name in arrays:
                require_finite(arrays[name], epoch)
        answer = self._loss(epoch=epoch, **arrays)
        self._step.update([outputs[name] for name in answer.gradients], list(answer.gradients.values()))
        return answer

    @torch.no_grad()
    def _referred(self, labels: Tensor) -> dict[str, Tensor]:
        """The arrays about references of the classes of `labels`, as the model sees them before the step."""
        if self._references is None:
            return {}
        images, own = self._references.draw(labels)
        self._model.eval()
        logits = self._step.logits(images)
        self._model.train()
        return {"reference_logits": logits.cpu(), "reference_labels": own}
