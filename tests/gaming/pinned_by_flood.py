"""Holds the loss of each member at 0.4, from above and from below."""


class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        return (F.cross_entropy(logits, labels, reduction="none") - 0.4).abs().mean()
