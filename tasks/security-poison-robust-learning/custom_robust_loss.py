"""A loss for learning from poisoned labels: the model should learn the task and not the labels that are wrong.

Only the lines between the two markers are yours. `RobustLoss` is constructed once for each training, without
arguments, and its `compute_loss` takes the place of the cross-entropy in every step of that training.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class RobustLoss:
    """Plain cross-entropy: the loss to improve on."""

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
        """The loss of one batch, a real scalar (shape []) from which gradients flow back to `logits`.

        logits: float32 [batch, classes], the model's raw outputs. It is a copy without the model's graph; what reaches
            the model is the gradient of the returned loss with respect to it.
        labels: int64 [batch], the classes as given, 0 to classes - 1: some are wrong, and nothing tells which.
        epoch: the epoch under way, counted from 0.

        The last batch of an epoch may be smaller. The loss and its gradient must be finite for finite logits.
        """
        return F.cross_entropy(logits, labels)


# === END EDITABLE ===
