"""A membership-inference attack: it says of each example how likely a model was trained on it.

Only the lines between the two markers are yours. `MembershipAttack` is constructed once for each target model, without
arguments; `fit` is called once, with reference models whose training sets are known, and then `score` once, with the
target.
"""

import torch


# === EDITABLE ===
class MembershipAttack:
    """RMIA: how much likelier the label is under the target than under other models (Zarifzadeh et al. 2024).

    For one target the published comparison with population examples does not change the order.
    """

    def fit(self, logits: torch.Tensor, labels: torch.Tensor, member: torch.Tensor) -> None:
        """Keep, for each example, the mean of p_y over references with it and the mean over those without, averaged."""
        p = torch.stack([scaled_logit(reference, labels) for reference in logits]).sigmoid()
        self.mean = (means(p, member == 1) + means(p, member == 0)) / 2
        self.both = (member == 1).any(dim=0) & (member == 0).any(dim=0)

    def score(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """log(p_y / P), 0 for an example that has no reference on a side."""
        log_p = torch.nn.functional.logsigmoid(scaled_logit(logits, labels))
        return (log_p - self.mean.clamp(min=1e-300).log()) * self.both


def means(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The mean of `values` over the references that are `chosen`, [examples]; 0 where there is none."""
    return (values * chosen).sum(dim=0) / chosen.sum(dim=0).clamp(min=1)


def scaled_logit(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """log p_y - log(1 - p_y), float64 [examples]: it is not rounded to a tie where p_y is rounded to one."""
    z, own = logits.double(), labels[:, None]
    return z.gather(1, own)[:, 0] - z.scatter(1, own, -torch.inf).logsumexp(dim=1)


# === END EDITABLE ===
