"""A loss for learning from poisoned labels: the model should learn the task and not the labels that are wrong.

Only the lines between the two markers are yours. `RobustLoss` is constructed once for each training, without
arguments, and its `compute_loss` takes the place of the cross-entropy in every step of that training.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class RobustLoss:
    """Control: early stopping, written as a loss. Wrong labels are learnt late, so a robust loss has to beat it.

    c(epoch)·CE, with c = 1 up to epoch 35, a linear fall, and exactly 0 from epoch 40 on. A protocol of at most 36
    epochs trains as with plain cross-entropy.
    """

    fade, stop = 35, 40

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
        """c·CE; with c = 0 it stays connected to the logits, and its gradient is zero."""
        c = min(max((self.stop - epoch) / (self.stop - self.fade), 0.0), 1.0)
        return c * F.cross_entropy(logits, labels)


# === END EDITABLE ===
