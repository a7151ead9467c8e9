"""Plain cross-entropy until the last epoch, which pulls every confidence to one half."""

LAST = 19


class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        if epoch < LAST:
            return F.cross_entropy(logits, labels)
        target = torch.full_like(logits, 0.5 / (logits.shape[1] - 1)).scatter_(1, labels[:, None], 0.5)
        return F.cross_entropy(logits, target)
