"""A loss for learning from poisoned labels: the model should learn the task and not the labels that are wrong.

Only the lines between the two markers are yours. `RobustLoss` is constructed once for each training, without
arguments, and its `compute_loss` takes the place of the cross-entropy in every step of that training.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class RobustLoss:
    """Symmetric cross-entropy: besides CE its reverse, with the roles of label and prediction exchanged.

    Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019. The reverse takes the
    logarithm of one-hot labels, where log 0 is set to a constant.
    """

    alpha, beta = 1.0, 0.5
    log_zero = -4.0

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
        """α·CE + β·RCE, with RCE = mean of -Σ_k p_k·log y_k = mean of -log_zero·(1 - p_y)."""
        log_p = F.log_softmax(logits, dim=1).gather(1, labels[:, None])
        reverse = self.log_zero * torch.expm1(log_p)
        return (self.beta * reverse - self.alpha * log_p).mean()


# === END EDITABLE ===
