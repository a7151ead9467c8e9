"""The metrics of a trained model."""

from mlsbench.scoring.membership import membership_metrics
from mlsbench.scoring.trained import Trained


def measure(model: Trained) -> dict[str, float]:
    """Canaries are left out: what they tell stands in the audit."""
    return membership_metrics(
        model.pool_logits[model.honest], model.member[model.honest], model.test_logits, model.test_labels
    )
