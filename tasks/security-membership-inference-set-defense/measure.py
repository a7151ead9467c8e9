"""The metrics of a trained model."""

from mlsbench.scoring.membership import membership_metrics
from mlsbench.scoring.trained import Trained
from mlsbench.scoring.validation import validation_advantage


def measure(model: Trained) -> dict[str, float]:
    """Members and non-members as in the defense task, and what an attack can tell of the validation examples."""
    metrics = membership_metrics(
        model.pool_logits[model.honest], model.member[model.honest], model.test_logits, model.test_labels
    )
    return metrics | {"validation_advantage": validation_advantage(model)}
