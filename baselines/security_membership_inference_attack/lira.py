"""A membership-inference attack: it says of each example how likely a model was trained on it.

Only the lines between the two markers are yours. `MembershipAttack` is constructed once for each target model, without
arguments; `fit` is called once, with reference models whose training sets are known, and then `score` once, with the
target.
"""

import torch


# === EDITABLE ===
class MembershipAttack:
    """LiRA, online, with one variance a side for all examples (Carlini et al. 2022).

    A variance for each example wants some sixteen references on a side; with fewer a common one is better.
    """

    def fit(self, logits: torch.Tensor, labels: torch.Tensor, member: torch.Tensor) -> None:
        """Keep, for each example, the mean scaled logits of references with it and without it, and two variances."""
        phi = torch.stack([scaled_logit(reference, labels) for reference in logits])
        self.mean, self.variance, free, count = [], [], [], []
        for chosen in (member == 1, member == 0):
            mean = means(phi, chosen)
            squares = ((phi - mean) * chosen).square().sum()
            free.append(int((chosen.sum(dim=0) - 1).clamp(min=0).sum()))
            count.append(chosen.sum(dim=0))
            self.mean.append(mean)
            self.variance.append((squares / max(free[-1], 1)).clamp(min=1e-12))
        if min(free) == 0:  # one reference on a side has no deviation; any equal variances give the same order
            self.variance = [torch.ones_like(v) for v in self.variance]
        self.both = (count[0] > 0) & (count[1] > 0)

    def score(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """log N(phi; with) - log N(phi; without), 0 for an example that has no reference on a side."""
        phi = scaled_logit(logits, labels)
        densities = [
            -((phi - mean) ** 2) / (2 * variance) - variance.log() / 2
            for mean, variance in zip(self.mean, self.variance, strict=True)
        ]
        return (densities[0] - densities[1]) * self.both


def means(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The mean of `values` over the references that are `chosen`, [examples]; 0 where there is none."""
    return (values * chosen).sum(dim=0) / chosen.sum(dim=0).clamp(min=1)


def scaled_logit(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """log p_y - log(1 - p_y), float64 [examples]: it is not rounded to a tie where p_y is rounded to one."""
    z, own = logits.double(), labels[:, None]
    return z.gather(1, own)[:, 0] - z.scatter(1, own, -torch.inf).logsumexp(dim=1)


# === END EDITABLE ===
