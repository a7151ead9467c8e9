"""A membership-inference attack: it says of each example how likely a model was trained on it.

Only the lines between the two markers are yours. `MembershipAttack` is constructed once for each target model, without
arguments; `fit` is called once, with reference models whose training sets are known, and then `score` once, with the
target.
"""

import torch


# === EDITABLE ===
class MembershipAttack:
    """The gap attack, which learns nothing: a member is what the target classifies right. The attack to improve on."""

    def fit(self, logits: torch.Tensor, labels: torch.Tensor, member: torch.Tensor) -> None:
        """Learn from reference models, which are trained as the target is. What is returned is ignored.

        logits: float32 [references, examples, classes], each reference's raw outputs on every example.
        labels: int64 [examples], the true classes, 0 to classes - 1.
        member: int64 [references, examples], 1 where the reference was trained on the example, else 0.
        """

    def score(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One real, finite number for each example (shape [examples]), higher where it rather is a member.

        logits: float32 [examples, classes], the target's raw outputs, on the same examples in the same order.
        labels: int64 [examples], as in `fit`.
        """
        return (logits.argmax(dim=1) == labels).float()


# === END EDITABLE ===
