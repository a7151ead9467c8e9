"""A membership-inference attack: it says of each example how likely a model was trained on it.

Only the lines between the two markers are yours. `MembershipAttack` is constructed once for each target model, without
arguments; `fit` is called once, with reference models whose training sets are known, and then `score` once, with the
target.
"""

import torch


# === EDITABLE ===
class MembershipAttack:
    """Global-probability: a member is what the target gives the true label a high probability for (Yeom et al. 2018).

    The order is that of the loss, so this attack and global-loss differ in their published thresholds alone.
    """

    def fit(self, logits: torch.Tensor, labels: torch.Tensor, member: torch.Tensor) -> None:
        """Nothing is learnt: where the threshold lies plays no part in the order."""

    def score(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The log-odds of the label's probability."""
        return scaled_logit(logits, labels)


def scaled_logit(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """log p_y - log(1 - p_y), float64 [examples]: it is not rounded to a tie where p_y is rounded to one."""
    z, own = logits.double(), labels[:, None]
    return z.gather(1, own)[:, 0] - z.scatter(1, own, -torch.inf).logsumexp(dim=1)


# === END EDITABLE ===
