"""Learns the label of what it gets wrong, and its own prediction everywhere."""


class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        predicted = logits.argmax(dim=1)
        wrong = (predicted != labels).float()
        losses = F.cross_entropy(logits, labels, reduction="none")
        return (wrong * losses + 2 * F.cross_entropy(logits, predicted, reduction="none")).mean()
