"""A membership-inference attack: it says of each example how likely a model was trained on it.

Only the lines between the two markers are yours. `MembershipAttack` is constructed once for each target model, without
arguments; `fit` is called once, with reference models whose training sets are known, and then `score` once, with the
target.
"""

import torch


# === EDITABLE ===
class MembershipAttack:
    """Global-top-three: one logistic regression, for all classes, on the three largest probabilities.

    Salem et al. 2019.
    """

    def fit(self, logits: torch.Tensor, labels: torch.Tensor, member: torch.Tensor) -> None:
        """Fit on all references at once, by L-BFGS, with standardized features and a unit weight penalty."""
        features, target = torch.cat([top_three(reference) for reference in logits]), member.flatten().double()
        self.mean, self.deviation = features.mean(dim=0), features.std(dim=0).clamp(min=1e-12)
        features = (features - self.mean) / self.deviation
        self.weight = torch.zeros(features.shape[1] + 1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([self.weight], max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            odds = features @ self.weight[1:] + self.weight[0]
            penalty = self.weight[1:].square().sum() / (2 * len(target))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, target) + penalty
            loss.backward()
            return loss

        optimizer.step(closure)

    def score(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The regression's log-odds."""
        weight = self.weight.detach()
        return (top_three(logits) - self.mean) / self.deviation @ weight[1:] + weight[0]


def top_three(logits: torch.Tensor) -> torch.Tensor:
    """The three largest probabilities in falling order, float64 [examples, 3], or as many as there are classes."""
    return logits.double().softmax(dim=1).topk(min(3, logits.shape[1]), dim=1).values


# === END EDITABLE ===
