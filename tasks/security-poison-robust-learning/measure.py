"""The metrics of a trained model."""

from mlsbench.scoring.poison import poison_metrics
from mlsbench.scoring.trained import Trained


def measure(model: Trained) -> dict[str, float]:
    return poison_metrics(model)
