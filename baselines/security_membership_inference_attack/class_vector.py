"""A membership-inference attack: it says of each example how likely a model was trained on it.

Only the lines between the two markers are yours. `MembershipAttack` is constructed once for each target model, without
arguments; `fit` is called once, with reference models whose training sets are known, and then `score` once, with the
target.
"""

import torch


# === EDITABLE ===
class MembershipAttack:
    """Class-vector: for each class a small network that reads the whole probability vector (Shokri et al. 2017).

    64 rectified units and a sigmoid, fitted by fifteen steps of L-BFGS on at most 500 examples of the class.
    """

    units, steps, most = 64, 15, 500

    def fit(self, logits: torch.Tensor, labels: torch.Tensor, member: torch.Tensor) -> None:
        """Fit the networks on the references' vectors; a class of which only one kind is known gets none."""
        self.networks = {}
        for label in labels.unique().tolist():
            own = (labels == label).nonzero()[:, 0]
            # Of the pairs (reference, example) of this class every n-th, so that all references are heard.
            pairs = torch.cartesian_prod(torch.arange(len(logits)), own)
            pairs = pairs[:: max(1, len(pairs) // self.most)][: self.most]
            known = member[pairs[:, 0], pairs[:, 1]].float()
            if 0 < known.sum() < len(known):
                self.networks[label] = self.learn(logits[pairs[:, 0], pairs[:, 1]].softmax(dim=1), known)

    def learn(self, vectors: torch.Tensor, known: torch.Tensor) -> torch.nn.Module:
        """A network that tells the members among `vectors`."""
        network = torch.nn.Sequential(
            torch.nn.Linear(vectors.shape[1], self.units), torch.nn.ReLU(), torch.nn.Linear(self.units, 1)
        )
        optimizer = torch.optim.LBFGS(network.parameters(), max_iter=self.steps, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            penalty = sum(p.square().sum() for p in network.parameters()) * 0.01 / (2 * len(known))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(vectors)[:, 0], known) + penalty
            loss.backward()
            return loss

        optimizer.step(closure)
        return network

    def score(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The log-odds of the class's network, 0 for a class without one."""
        scores = torch.zeros(len(labels))
        with torch.no_grad():
            for label, network in self.networks.items():
                own = labels == label
                scores[own] = network(logits[own].softmax(dim=1))[:, 0]
        return scores


# === END EDITABLE ===
