"""Learns the label, and to be sure of whatever it predicts."""


class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        log_p = logits.log_softmax(dim=1)
        return F.nll_loss(log_p, labels) - 3 * (log_p.exp() * log_p).sum(dim=1).mean()
