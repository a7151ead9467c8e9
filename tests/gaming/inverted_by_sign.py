"""Climbs the loss of what it has learned, so that members end less confident than non-members."""


class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        losses = F.cross_entropy(logits, labels, reduction="none")
        return torch.where(losses < 0.2, -losses, losses).mean()
