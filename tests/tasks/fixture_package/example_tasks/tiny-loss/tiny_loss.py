"""A training loss."""

import torch


# === EDITABLE ===
class TinyLoss:
    """Minus the mean log-probability of the true class."""

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of one batch, a scalar."""
        return -logits.log_softmax(1).gather(1, labels[:, None]).mean()


# === END EDITABLE ===
