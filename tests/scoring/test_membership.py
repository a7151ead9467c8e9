"""The four metrics are exactly the published definitions, whatever the logits."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mlsbench.scoring import accuracy, confidence, membership_auc, membership_metrics, privacy_score
from mlsbench.scoring.membership import confidence_order, top_log_odds

RNG = np.random.default_rng(0)


def logits(rows: int, classes: int = 5, scale: float = 3.0) -> np.ndarray:
    return (RNG.normal(size=(rows, classes)) * scale).astype(np.float32)


def test_confidence_is_the_largest_softmax_probability() -> None:
    two = np.log(np.array([[1, 3], [8, 2]], np.float32))
    assert confidence(two) == pytest.approx([0.75, 0.8], abs=1e-6)


def test_confidence_is_computed_in_float64() -> None:
    near_one = np.array([[20, 0], [21, 0]], np.float32)  # both probabilities are 1 in float32
    values = confidence(near_one)
    assert values.dtype == np.float64
    assert values[0] < values[1] < 1


def test_confidence_survives_logits_whose_exponential_overflows() -> None:
    assert confidence(np.array([[3e38, 0]], np.float32)) == pytest.approx([1])


def test_auc_equals_that_of_scikit_learn_also_with_ties() -> None:
    for trial in range(20):
        scores = RNG.integers(0, 3 + 5 * trial, size=200) / 7
        member = RNG.random(200) < 0.3
        assert membership_auc(scores, member) == pytest.approx(roc_auc_score(member, scores), abs=1e-12)


def test_equal_scores_give_exactly_one_half() -> None:
    assert membership_auc(np.full(7, 0.3), np.arange(7) < 3) == 0.5


def test_a_memorizer_gives_exactly_one() -> None:
    assert membership_auc([0.1, 0.2, 0.8, 0.9], np.array([False, False, True, True])) == 1


def test_swapped_membership_gives_one_minus_the_auc() -> None:
    scores, member = RNG.random(99), RNG.random(99) < 0.5
    assert membership_auc(scores, ~member) == pytest.approx(1 - membership_auc(scores, member), abs=1e-12)


def test_a_monotone_transform_changes_no_auc() -> None:
    scores, member = RNG.random(99), RNG.random(99) < 0.5
    assert membership_auc(np.exp(3 * scores), member) == membership_auc(scores, member)


def test_an_untrained_net_gives_one_half_within_three_sigmas() -> None:
    member = np.arange(4000) % 2 == 0
    sigma = np.sqrt((4000 + 1) / (12 * 2000 * 2000))
    assert abs(membership_auc(confidence(logits(4000)), member) - 0.5) < 3 * sigma


def test_metrics_have_exactly_the_four_names_and_agree_with_their_parts() -> None:
    train, test = logits(60), logits(40)
    member, labels = np.arange(60) < 25, RNG.integers(0, 5, 40)
    metrics = membership_metrics(train, member, test, labels)
    exp = np.exp(train.astype(np.float64))
    top = (exp / exp.sum(axis=1, keepdims=True)).max(axis=1)
    assert list(metrics) == ["test_acc", "mia_auc", "privacy_gap", "privacy_score"]
    assert metrics["test_acc"] == np.mean(test.argmax(axis=1) == labels)
    assert metrics["mia_auc"] == pytest.approx(roc_auc_score(member, top))
    assert metrics["privacy_gap"] == pytest.approx(top[:25].mean() - top[25:].mean())
    assert metrics["privacy_score"] == metrics["test_acc"] - max(metrics["mia_auc"] - 0.5, 0)
    assert all(type(value) is float for value in metrics.values())


def test_an_auc_below_one_half_earns_nothing() -> None:
    assert privacy_score(0.9, 0.2) == 0.9


def test_an_auc_above_one_half_costs_its_excess() -> None:
    assert privacy_score(0.9, 0.6) == 0.9 - (0.6 - 0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["train", "test"])
def test_a_logit_that_is_not_finite_is_an_error(bad: float, where: str) -> None:
    arrays = {"train": logits(6), "test": logits(6)}
    arrays[where][2, 1] = bad
    with pytest.raises(ValueError, match="not finite in 1 of 6"):
        membership_metrics(arrays["train"], np.arange(6) < 3, arrays["test"], np.zeros(6, int))


@pytest.mark.parametrize("member", [np.ones(6, bool), np.zeros(6, bool)])
def test_an_attack_without_members_or_non_members_is_an_error(member: np.ndarray) -> None:
    with pytest.raises(ValueError, match="members and non-members"):
        membership_metrics(logits(6), member, logits(6), np.zeros(6, int))


@pytest.mark.parametrize("member", [np.arange(5) < 3, np.array([1, 1, 1, 0, 0, 0])])
def test_membership_must_be_one_bool_for_each_example(member: np.ndarray) -> None:
    with pytest.raises(ValueError, match="one bool for each"):
        membership_metrics(logits(6), member, logits(6), np.zeros(6, int))


@pytest.mark.parametrize("bad", [np.zeros(4), np.zeros((0, 3)), np.zeros((3, 0))])
def test_logits_of_another_shape_are_an_error(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\[examples, classes\]"):
        confidence(bad)


def test_labels_of_another_length_are_an_error() -> None:
    with pytest.raises(ValueError, match="labels of shape"):
        accuracy(logits(4), np.zeros(3, int))


def test_scores_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ValueError, match="finite number"):
        membership_auc([0.1, np.nan], np.array([True, False]))


def test_a_row_that_is_not_finite_counts_as_wrong_in_the_accuracy() -> None:
    values = np.array([[np.nan, 0], [0, 1], [1, 0], [np.inf, 0]], np.float32)
    assert accuracy(values, [0, 1, 0, 0]) == 0.5


def test_scaling_logits_up_until_confidence_rounds_to_one_does_not_change_the_auc() -> None:
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(400, 10)) * 2
    member = np.arange(400) < 200
    logits[member] *= 1.3
    labels = logits.argmax(axis=1)
    plain, scaled = (membership_metrics(z, member, z, labels)["mia_auc"] for z in (logits, logits * 1000))
    assert (confidence(logits * 1000) == 1).mean() > 0.9
    assert scaled == pytest.approx(membership_auc(confidence_order(logits * 1000), member))
    assert abs(scaled - 0.5) > 0.05
    assert abs(plain - 0.5) > 0.05


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_scaling_logits_down_until_confidence_rounds_to_a_guess_does_not_change_the_auc(classes: int) -> None:
    logits = np.random.default_rng(5).normal(size=(400, classes)).astype(np.float32)
    member = np.arange(400) < 200
    logits[member] *= np.float32(2)
    small = (logits * np.float32(1e-25)).astype(np.float32)
    labels = logits.argmax(axis=1)
    assert set(confidence(small)) == {1 / classes}
    # Of rows that are nearly equal the order is that of how far the largest logit is above the mean of the others.
    above = logits.max(axis=1) - (logits.sum(axis=1) - logits.max(axis=1)) / (classes - 1)
    assert membership_metrics(small, member, small, labels)["mia_auc"] == pytest.approx(membership_auc(above, member))
    assert membership_auc(above, member) > 0.6


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 0.1, 1, 10, 1e4])
def test_the_exact_order_of_two_classes_is_that_of_their_difference(scale: float) -> None:
    logits = np.random.default_rng(7).normal(size=(500, 2)) * scale
    apart = np.abs(logits[:, 0] - logits[:, 1])
    np.testing.assert_array_equal(confidence_order(logits).argsort(), apart.argsort())
    np.testing.assert_allclose(top_log_odds(logits), apart, rtol=1e-12)


def test_the_exact_order_is_that_of_confidence_where_confidence_is_not_rounded() -> None:
    logits = np.random.default_rng(6).normal(size=(300, 7)) * 3
    np.testing.assert_array_equal(confidence_order(logits).argsort(), confidence(logits).argsort())
