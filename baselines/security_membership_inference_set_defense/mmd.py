"""A defense against membership inference that may mix its batches and look at validation examples.

Only the lines between the two markers are yours. `SetDefense` is constructed once for each training, without arguments.
In every step of that training `mix` is called first, then `compute_loss`, which takes the place of the cross-entropy.
"""

import torch
import torch.nn.functional as F


# === EDITABLE ===
class SetDefense:
    """MMD: members of a class are to have outputs distributed as those of validation examples of that class.

    Li, Li and Ribeiro, "Membership Inference Attacks and Defenses in Classification Models", CODASPY 2021, section 4.2.
    The kernel is a mean of five Gaussians exp(-d² / b) around the mean squared distance of a class, as is usual in
    transfer learning (Long et al. 2015). Validation examples have no gradient, so members alone are moved.
    """

    least = 0.01  # of b

    def __init__(self) -> None:
        self.weight = {10: 0.5, 100: 4.0}  # of MMD², by the number of classes: the paper's for ResNet-20

    def mix(self, labels: torch.Tensor, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Nobody with anybody."""
        return torch.arange(len(labels)), torch.ones(len(labels))

    def compute_loss(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        member_logits: torch.Tensor,
        reference_logits: torch.Tensor,
        reference_labels: torch.Tensor,
        epoch: int,
    ) -> torch.Tensor:
        """CE + weight · MMD² of the softmax outputs for members and for validation examples, class by class."""
        distance = self.mmd(member_logits.softmax(dim=1), reference_logits.softmax(dim=1), reference_labels)
        return F.cross_entropy(logits, targets) + self.weight[logits.shape[1]] * distance

    def mmd(self, members: torch.Tensor, references: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean over classes of the unbiased estimate of MMD² (Gretton et al. 2012, lemma 6).

        members, references: float [batch, classes], softmax outputs; labels: int64 [batch], the classes of both.
        A class of one member tells nothing of its distribution and is left out.
        """
        several = torch.bincount(labels)[labels] > 1
        members, references, labels = members[several], references[several], labels[several]
        if not len(labels):
            return 0 * members.sum()
        same = (labels[:, None] == labels).to(members.dtype)
        others = same - torch.eye(len(labels), dtype=members.dtype)
        count = same.sum(dim=1)
        within = self.distances(members, members), self.distances(references, references)
        across = self.distances(members, references)
        with torch.no_grad():
            total = same @ (others * (within[0] + within[1]) + 2 * same * across).sum(dim=1)
            b = (total / (2 * count * (2 * count - 1))).clamp(min=self.least)[:, None]
        alike = (others * (self.kernel(within[0], b) + self.kernel(within[1], b))).sum(dim=1) / (count - 1)
        apart = (same * self.kernel(across, b)).sum(dim=1) / count
        return ((alike - 2 * apart) / count).sum() / (1 / count).sum()

    def distances(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """d² of each row of `a` to each of `b`."""
        return (a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - 2 * a @ b.T).clamp(min=0)

    def kernel(self, squared: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The mean of exp(-d² / (b s)) over s = 1/4, 1/2, 1, 2, 4."""
        return torch.stack([torch.exp(-squared / (b * s)) for s in (0.25, 0.5, 1, 2, 4)]).mean(dim=0)


# === END EDITABLE ===
