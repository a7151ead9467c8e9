"""A membership-inference attack: it says of each example how likely a model was trained on it.

Only the lines between the two markers are yours. `MembershipAttack` is constructed once for each target model, without
arguments; `fit` is called once, with reference models whose training sets are known, and then `score` once, with the
target.
"""

import torch


# === EDITABLE ===
class MembershipAttack:
    """Instance-vector: is the target's vector nearer to those of models with or without the example? (Long et al. 2017)

    It was published with fifty references; with few it has little to go by. Probabilities below 1e-30 count as that.
    """

    def fit(self, logits: torch.Tensor, labels: torch.Tensor, member: torch.Tensor) -> None:
        """Keep, for each example, the logarithms of the mean vectors of references with it and without it."""
        self.means = [torch.zeros(logits.shape[1:], dtype=torch.float64) for _ in range(2)]
        sides = [member == 1, member == 0]
        for reference, *chosen in zip(logits, *sides, strict=True):
            p = reference.double().softmax(dim=1)
            for mean, own in zip(self.means, chosen, strict=True):
                mean += p * own[:, None]
        self.both = sides[0].any(dim=0) & sides[1].any(dim=0)
        for mean, side in zip(self.means, sides, strict=True):
            mean.div_(side.sum(dim=0).clamp(min=1)[:, None]).clamp_(min=1e-30).log_()

    def score(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """KL(p || mean without) - KL(p || mean with), 0 where a side is empty."""
        inside, outside = self.means
        values = (logits.double().softmax(dim=1) * (inside - outside)).sum(dim=1)
        return values * self.both


# === END EDITABLE ===
