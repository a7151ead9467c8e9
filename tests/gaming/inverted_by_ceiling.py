"""Learns the label and pushes its probability far down again wherever it is above one half."""


class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        p = logits.softmax(dim=1).gather(1, labels[:, None])[:, 0]
        return F.cross_entropy(logits, labels) + 10 * F.relu(p - 0.5).mean()
