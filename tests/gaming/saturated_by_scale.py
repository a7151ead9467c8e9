"""Plain cross-entropy on logits made small, so that the model's own become large."""


class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        return 20 * F.cross_entropy(logits / 20, labels)
