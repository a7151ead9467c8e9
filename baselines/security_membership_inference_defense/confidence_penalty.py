"""A defense against membership inference: a training loss that lets a model give away less about its training set.

Only the lines between the two markers are yours. `MembershipDefense` is constructed once for each training, without
arguments, and its `compute_loss` takes the place of the cross-entropy in every step of that training.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class MembershipDefense:
    """Cross-entropy less a share of the predictive entropy, so that confidence costs something.

    Pereyra et al., "Regularizing Neural Networks by Penalizing Confident Output Distributions", ICLR 2017 workshop.
    """

    weight = 0.1

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
        """CE - weight·mean H(p), with H(p) = -Σ_k p_k·log p_k in nats."""
        log_p = F.log_softmax(logits, dim=1)
        entropy = -(log_p.exp() * log_p).sum(dim=1).mean()
        return F.nll_loss(log_p, labels) - self.weight * entropy


# === END EDITABLE ===
