"""A defense against membership inference that may mix its batches and look at validation examples.

Only the lines between the two markers are yours. `SetDefense` is constructed once for each training, without arguments.
In every step of that training `mix` is called first, then `compute_loss`, which takes the place of the cross-entropy.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class SetDefense:
    """Plain cross-entropy, nothing mixed, the validation examples unused: the defense to improve on."""

    def mix(self, labels: torch.Tensor, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """With whom each example of a batch is mixed, and how much of itself it keeps.

        labels: int64 [batch], the true classes, 0 to classes - 1.
        epoch: the epoch under way, counted from 0.

        Returns partners, int64 [batch], positions in this batch, and weights, float32 [batch], from 0 to 1. The trainer
        mixes images and one-hot labels alike: weight · own + (1 - weight) · partner's. With all weights 1 nothing is
        mixed.
        """
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
        """The loss of one batch, a real scalar (shape []) that depends on `logits` or `member_logits`, or on both.

        logits: float32 [batch, classes], the model's raw outputs for the mixed batch. It is a copy without the model's
            graph; what reaches the model is the gradient of the returned loss with respect to it.
        targets: float32 [batch, classes], the mixed one-hot labels.
        member_logits: float32 [batch, classes], the outputs for the same members unmixed, likewise with a gradient.
        reference_logits: float32 [batch, classes], the outputs for validation examples, one for each member and of its
            class, without a gradient: the model is never trained on them.
        reference_labels: int64 [batch], the true classes of both the members and the validation examples.
        epoch: the epoch under way, counted from 0.

        The last batch of an epoch may be smaller. The loss and its gradient must be finite for finite logits.
        """
        return F.cross_entropy(logits, targets)


# === END EDITABLE ===
