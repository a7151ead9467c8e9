"""Wants the label's logit sixty above all others, where its probability is one in every precision."""


class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        own = logits.gather(1, labels[:, None])[:, 0]
        other = logits.scatter(1, labels[:, None], -1e9).amax(dim=1)
        return F.relu(60 - (own - other)).mean() / 20
