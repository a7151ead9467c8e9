"""A loss for learning from poisoned labels: the model should learn the task and not the labels that are wrong.

Only the lines between the two markers are yours. `RobustLoss` is constructed once for each training, without
arguments, and its `compute_loss` takes the place of the cross-entropy in every step of that training.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class RobustLoss:
    """Mean cross-entropy, which fits right and wrong labels alike: the reference of every table."""

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
        """CE = mean of -log p_y."""
        return F.cross_entropy(logits, labels)


# === END EDITABLE ===
