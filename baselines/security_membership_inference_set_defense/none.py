"""A defense against membership inference that may mix its batches and look at validation examples.

Only the lines between the two markers are yours. `SetDefense` is constructed once for each training, without arguments.
In every step of that training `mix` is called first, then `compute_loss`, which takes the place of the cross-entropy.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class SetDefense:
    """No defense: mean cross-entropy, nothing mixed, validation examples unused. The reference of every table."""

    def mix(self, labels: torch.Tensor, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Nobody with anybody."""
        return torch.arange(len(labels)), torch.ones(len(labels))

    def compute_loss(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        member_logits: torch.Tensor,
        reference_logits: torch.Tensor,
        reference_labels: torch.Tensor,
        epoch: int,
    ) -> torch.Tensor:
        """CE = mean of -log p_y."""
        return F.cross_entropy(logits, targets)


# === END EDITABLE ===
