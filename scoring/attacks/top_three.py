"""The global top-three attack: one classifier for all classes on the three largest probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlsbench.scoring.attacks.features import largest
from mlsbench.scoring.attacks.fitted import prior
from mlsbench.scoring.attacks.target import FloatArray, Outputs


def learn_top_three(known: Sequence[Outputs]) -> Callable[[Outputs], FloatArray]:
    """Logistic regression on the three largest probabilities, in falling order (Salem et al. 2019)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    member = np.concatenate([model.member for model in known])
    fitted = make_pipeline(StandardScaler(), LogisticRegression())
    fitted.fit(np.concatenate([_features(model) for model in known]), member)
    return lambda model: np.asarray(fitted.decision_function(_features(model)) - prior(member), np.float64)


def _features(model: Outputs) -> FloatArray:
    return largest(model.probabilities(), 3)
