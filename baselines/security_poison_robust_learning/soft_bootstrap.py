"""A loss for learning from poisoned labels: the model should learn the task and not the labels that are wrong.

Only the lines between the two markers are yours. `RobustLoss` is constructed once for each training, without
arguments, and its `compute_loss` takes the place of the cross-entropy in every step of that training.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class RobustLoss:
    """Soft bootstrapping: a target is the given label, mixed with what the model itself predicts.

    Reed et al., "Training Deep Neural Networks on Noisy Labels with Bootstrapping", ICLR 2015 workshop. The gradient
    flows through the prediction in the target too, which makes the loss cross-entropy with minimum-entropy
    regularization, as the paper has it; with that prediction held constant it would be β·CE and no more.
    """

    beta = 0.8  # β, the label's share of the target

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
        """Mean of -Σ_k (β·y_k + (1 - β)·p_k)·log p_k."""
        log_p = F.log_softmax(logits, dim=1)
        entropy = -(log_p.exp() * log_p).sum(dim=1).mean()
        return self.beta * F.nll_loss(log_p, labels) + (1 - self.beta) * entropy


# === END EDITABLE ===
