"""A model is collapsed if guessing could have done as well or it always says the same, and never for being unsure."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlsbench.scoring import Verdict, judge
from mlsbench.scoring.verdict import chance_limit

RULE = {"chance_factor": 2, "sigmas": 4, "max_class_share": 0.99}


def model(right: int, examples: int = 1000, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Logits right in the first `right` examples and off by one class after; predictions are spread evenly."""
    labels = np.arange(examples) % classes
    predicted = np.where(np.arange(examples) < right, labels, (labels + 1) % classes)
    return np.eye(classes, dtype=np.float32)[predicted], labels


def test_exactly_twice_chance_is_collapsed() -> None:
    assert judge(*model(200), **RULE).status == "collapsed"


def test_one_example_above_the_limit_is_scored() -> None:
    assert judge(*model(201), **RULE) == Verdict("scored", "")


def test_the_reason_is_a_sentence_with_both_numbers() -> None:
    reason = judge(*model(100), **RULE).reason
    assert reason == "collapsed: test accuracy 0.100 is at most 0.200, what guessing could reach"


def test_a_small_test_set_needs_more_than_twice_chance() -> None:
    limit = 1 / 10 + 4 * math.sqrt(0.1 * 0.9 / 100)
    assert limit > 0.2
    assert judge(*model(int(limit * 100), examples=100), **RULE).status == "collapsed"
    assert judge(*model(int(limit * 100) + 1, examples=100), **RULE).status == "scored"


def test_the_limit_is_the_larger_of_both_rules() -> None:
    assert chance_limit(10, 10_000, 2, 4) == 0.2
    assert chance_limit(100, 10_000, 2, 4) == 0.02
    assert chance_limit(10, 90, 2, 4) == pytest.approx(0.1 + 4 * math.sqrt(0.09 / 90))


def test_one_class_in_99_percent_of_the_predictions_is_collapsed() -> None:
    labels = np.zeros(1000, int)
    predicted = np.where(np.arange(1000) < 990, 0, 1)
    verdict = judge(np.eye(10)[predicted], labels, **RULE)
    assert verdict == Verdict("collapsed", "collapsed: class 0 takes 99.0% of the test predictions")


def test_one_class_in_fewer_predictions_is_scored() -> None:
    labels = np.zeros(1000, int)
    predicted = np.where(np.arange(1000) < 989, 0, 1)
    assert judge(np.eye(10)[predicted], labels, **RULE).status == "scored"


def test_flat_confidence_does_not_collapse_an_accurate_model() -> None:
    right, labels = model(900)
    assert judge(right * np.float32(1e-6), labels, **RULE).status == "scored"


def test_logits_that_are_not_finite_are_collapsed() -> None:
    broken, labels = model(900)
    broken[3, 2] = np.nan
    assert judge(broken, labels, **RULE) == Verdict("collapsed", "collapsed: the model's test logits are not finite")
