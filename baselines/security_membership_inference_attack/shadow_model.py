"""A membership-inference attack: it says of each example how likely a model was trained on it.

Only the lines between the two markers are yours. `MembershipAttack` is constructed once for each target model, without
arguments; `fit` is called once, with reference models whose training sets are known, and then `score` once, with the
target.
"""

import torch


# === EDITABLE ===
class MembershipAttack:
    """The shadow-model pipeline in its simplest form (after Shokri et al. 2017).

    The references are the shadow models. Their probability vectors, members' and non-members', train one network of 64
    rectified units and a sigmoid, with Adam and binary cross-entropy for five epochs. It sees no labels.
    """

    units, epochs, batch = 64, 5, 32

    def fit(self, logits: torch.Tensor, labels: torch.Tensor, member: torch.Tensor) -> None:
        """Train the attack network on the vectors of all references."""
        vectors, known = logits.softmax(dim=2).flatten(0, 1), member.flatten().float()
        self.network = torch.nn.Sequential(
            torch.nn.Linear(vectors.shape[1], self.units), torch.nn.ReLU(), torch.nn.Linear(self.units, 1)
        )
        optimizer = torch.optim.Adam(self.network.parameters())
        for _ in range(self.epochs):
            for batch in torch.randperm(len(vectors)).split(self.batch):
                optimizer.zero_grad()
                odds = self.network(vectors[batch])[:, 0]
                loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, known[batch])
                loss.backward()
                optimizer.step()

    def score(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The network's log-odds, whose sigmoid is the probability that it gives."""
        with torch.no_grad():
            odds: torch.Tensor = self.network(logits.softmax(dim=1))[:, 0]
        return odds


# === END EDITABLE ===
