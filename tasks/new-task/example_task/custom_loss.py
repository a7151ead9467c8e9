"""A training loss: only the lines between the two markers are the author's.

`CustomLoss` is constructed once for each training, without arguments, and its `compute_loss` takes the place of the
cross-entropy in every step of that training.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class CustomLoss:
    """Plain cross-entropy: the loss to improve on."""

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
        """The loss of one batch, a real scalar (shape []) from which gradients flow back to `logits`.

        logits: float32 [batch, classes], the model's raw outputs.
        labels: int64 [batch], the classes, 0 to classes - 1.
        epoch: the epoch under way, counted from 0.
        """
        return F.cross_entropy(logits, labels)


# === END EDITABLE ===
