"""A membership-inference attack: it says of each example how likely a model was trained on it.

Only the lines between the two markers are yours. `MembershipAttack` is constructed once for each target model, without
arguments; `fit` is called once, with reference models whose training sets are known, and then `score` once, with the
target.
"""

import torch


# === EDITABLE ===
class MembershipAttack:
    """The gap attack, or baseline: a member is what the target classifies right (Yeom et al. 2018).

    Its balanced accuracy is (1 + g) / 2, with g the members' accuracy minus the non-members'.
    """

    def fit(self, logits: torch.Tensor, labels: torch.Tensor, member: torch.Tensor) -> None:
        """Nothing is learnt."""

    def score(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """1 where the prediction is right, else 0."""
        return (logits.argmax(dim=1) == labels).float()


# === END EDITABLE ===
