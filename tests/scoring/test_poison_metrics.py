"""poison_fit is about the poisoned examples alone, and the score is the mean of accuracy and of what is not fitted."""

from __future__ import annotations

import numpy as np
import pytest

from mlsbench.scoring.poison import poison_metrics
from mlsbench.scoring.trained import Trained


def model(predicted: list[int], labels: list[int], true_labels: list[int], tested: list[bool]) -> Trained:
    """A model of three classes that predicts `predicted` for the pool; `tested`: which test examples it gets right."""
    test_labels = np.zeros(len(tested), np.int64)
    answers = np.where(tested, 0, 1)
    eye, nobody = np.eye(3, dtype=np.float32), np.zeros(len(labels), np.bool_)
    given, true = np.array(labels), np.array(true_labels)
    return Trained(eye[predicted], given, true, ~nobody, nobody, eye[answers], test_labels)


def test_the_share_of_poisoned_labels_that_are_predicted() -> None:
    # Of four poisoned examples one is predicted as poisoned, one as it truly is, two as neither.
    given = model([1, 0, 2, 2, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [True, True, True, False])
    assert poison_metrics(given) == {"test_acc": 0.75, "poison_fit": 0.25, "robust_score": 0.75}


@pytest.mark.parametrize(("predicted", "fit", "score"), [([0, 0], 0.0, 1.0), ([1, 1], 1.0, 0.5)])
def test_a_perfect_learner_and_a_perfect_memorizer(predicted: list[int], fit: float, score: float) -> None:
    given = model(predicted, [1, 1], [0, 0], [True])
    assert poison_metrics(given) == {"test_acc": 1.0, "poison_fit": fit, "robust_score": score}


def test_honest_examples_do_not_count() -> None:
    wrong_on_honest = model([2, 2, 0], [0, 1, 1], [0, 1, 0], [True])
    assert poison_metrics(wrong_on_honest)["poison_fit"] == 0
