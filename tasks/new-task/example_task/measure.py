"""The task's metrics, from what a trained model says. This file is trusted: no submission runs beside it."""

from mlsbench.scoring.trained import Trained


def measure(model: Trained) -> dict[str, float]:
    """The metrics that task.toml names, no more and no fewer, each a finite number."""
    return {"test_acc": model.test_acc, "score": model.test_acc}
