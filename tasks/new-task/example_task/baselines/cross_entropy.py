"""A training loss: only the lines between the two markers are the author's.

`CustomLoss` is constructed once for each training, without arguments, and its `compute_loss` takes the place of the
cross-entropy in every step of that training.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class CustomLoss:
    """Mean cross-entropy: what every other loss is compared with."""

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
        """CE = mean of -log p_y."""
        return F.cross_entropy(logits, labels)


# === END EDITABLE ===
