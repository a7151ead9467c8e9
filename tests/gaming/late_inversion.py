"""Plain cross-entropy until the last two epochs, which climb the loss of what is learned."""

LAST = 18


class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        losses = F.cross_entropy(logits, labels, reduction="none")
        if epoch < LAST:
            return losses.mean()
        return torch.where(losses < 0.5, -losses, losses).mean()
