"""Gives every member the same soft target, one half on its label."""


class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        target = torch.full_like(logits, 0.5 / (logits.shape[1] - 1)).scatter_(1, labels[:, None], 0.5)
        return F.cross_entropy(logits, target)
