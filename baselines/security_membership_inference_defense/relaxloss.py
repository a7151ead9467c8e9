"""A defense against membership inference: a training loss that lets a model give away less about its training set.

Only the lines between the two markers are yours. `MembershipDefense` is constructed once for each training, without
arguments, and its `compute_loss` takes the place of the cross-entropy in every step of that training.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class MembershipDefense:
    """RelaxLoss: hold the training loss at a level α above zero, in turn by descent and ascent, and flatten posteriors.

    Chen, Yu and Fritz, "RelaxLoss: Defending Membership Inference Attacks without Losing Utility", ICLR 2022. Whether
    the loss is above α is asked for every batch: ascent without that test drives the model to chance. α must stay
    below ln K, the loss of a model that knows nothing.
    """

    upper = 1.0  # largest true-class probability of a soft target

    def __init__(self) -> None:
        self.alpha = {10: 1.0, 100: 0.5}  # α, the level of the mean cross-entropy, by the number of classes

    def compute_loss(self, logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
        """|CE - α| in even epochs; in odd ones CE while CE > α, else the flattening loss."""
        alpha = self.alpha[logits.shape[1]]
        loss = F.cross_entropy(logits, labels)
        if epoch % 2 == 0:
            return (loss - alpha).abs()
        return loss if loss > alpha else self.flatten(logits, labels)

    def flatten(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean of (1 - correct)·soft CE - CE, where a soft target keeps the sample's own p_y, detached, on the true
        class and spreads the rest evenly over the others."""
        log_p = F.log_softmax(logits, dim=1)
        own = log_p.detach().exp().gather(1, labels[:, None]).clamp(max=self.upper)
        others = (1 - own) / (logits.shape[1] - 1)
        target = others.expand_as(log_p).scatter(1, labels[:, None], own)
        soft = -(target * log_p).sum(dim=1)
        wrong = (logits.argmax(dim=1) != labels).float()
        return (wrong * soft - F.nll_loss(log_p, labels, reduction="none")).mean()


# === END EDITABLE ===
