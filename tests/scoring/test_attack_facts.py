"""What is known of attacks beforehand, for every attack of audit-1: the facts that its definitions entail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from attack_arrays import changed, model, untrained

from mlsbench.scoring.attacks import AUDIT_1, Attack, Target
from mlsbench.scoring.attacks.features import entropy, modified_entropy, probabilities, scaled_logit
from mlsbench.scoring.membership import membership_auc
from mlsbench.scoring.panel import audit_1
from mlsbench.scoring.roc import advantage

PLAIN = [attack for attack in AUDIT_1 if attack.fitted == "nothing"]
by_name = pytest.mark.parametrize("attack", AUDIT_1, ids=lambda a: a.name)
plain_by_name = pytest.mark.parametrize("attack", PLAIN, ids=lambda a: a.name)


def auc(attack: Attack, outputs: object) -> float:
    found = attack.run(Target(outputs))  # type: ignore[arg-type]
    assert found.scored.all()
    return membership_auc(found.values, outputs.member)  # type: ignore[attr-defined]


@by_name
def test_an_untrained_net_gives_one_half_within_three_deviations(attack: Attack) -> None:
    outputs = untrained()
    assert abs(auc(attack, outputs) - 0.5) < 3 * math.sqrt((4000 + 1) / (12 * 2000 * 2000))


@by_name
def test_constant_logits_give_one_half(attack: Attack) -> None:
    outputs = untrained(600)
    constant = changed(outputs, logits=np.ones_like(outputs.logits), labels=np.zeros(600, np.int64))
    assert auc(attack, constant) == pytest.approx(0.5, abs=1e-12)


@plain_by_name
def test_swapped_membership_gives_one_minus_the_auc(attack: Attack) -> None:
    outputs = model((5, 2), (3, 2), right=(0.95, 0.7))
    assert auc(attack, changed(outputs, member=~outputs.member)) == pytest.approx(1 - auc(attack, outputs))


@by_name
def test_a_memorizer_is_known_by_every_attack(attack: Attack) -> None:
    outputs = model((9, 0.3), (0, 0.3), right=(1, 0))
    found = auc(attack, outputs)
    assert max(found, 1 - found) > 0.999


@plain_by_name
def test_a_temperature_moves_no_attack_but_entropies(attack: Attack) -> None:
    outputs = model((5, 2), (3, 2), right=(0.95, 0.7), classes=2)
    hotter = changed(outputs, logits=outputs.logits * np.float32(0.25))
    assert auc(attack, hotter) == pytest.approx(auc(attack, outputs), abs=1e-6)


def test_true_label_loss_and_scaled_logit_are_one_order() -> None:
    outputs = model((5, 2), (3, 2), right=(0.95, 0.7))
    aucs = [auc(a, outputs) for a in AUDIT_1 if a.name in ("true-label", "loss", "scaled-logit")]
    assert aucs == pytest.approx([aucs[0]] * 3)


def test_the_correctness_attack_has_exactly_half_the_gap() -> None:
    outputs = model((5, 2), (3, 2), right=(0.93, 0.71))
    right = outputs.logits.argmax(axis=1) == outputs.labels
    gap = right[outputs.member].mean() - right[~outputs.member].mean()
    values = next(a for a in AUDIT_1 if a.name == "correctness").run(Target(outputs)).values
    assert advantage(values, outputs.member) + 0.5 == pytest.approx((1 + gap) / 2, abs=1e-15)


def test_top_one_orders_as_mia_auc_does() -> None:
    outputs = model((50, 20), (45, 20))
    largest = np.sort(outputs.logits.astype(np.longdouble), axis=1)
    odds = largest[:, -1] - np.log(np.exp(largest[:, :-1] - largest[:, -2:-1]).sum(axis=1)) - largest[:, -2]
    assert auc(PLAIN[0], outputs) == pytest.approx(membership_auc(odds.astype(np.float64), outputs.member))


def test_a_known_shift_of_log_odds_gives_the_known_advantage() -> None:
    outputs = model((4, 1), (3, 1), examples=40_000)
    values = next(a for a in AUDIT_1 if a.name == "scaled-logit").run(Target(outputs)).values
    normal = 0.5 * (1 + math.erf(0.5 / math.sqrt(2)))  # Φ(1/2), for two unit normals one apart
    assert advantage(values, outputs.member) == pytest.approx(normal - 0.5, abs=0.01)


def test_features_are_what_their_formulas_say() -> None:
    outputs = untrained(50)
    p = probabilities(outputs.logits)
    own = p[np.arange(50), outputs.labels]
    assert scaled_logit(outputs.logits, outputs.labels) == pytest.approx(np.log(own / (1 - own)))
    assert entropy(outputs.logits) == pytest.approx(-(p * np.log(p)).sum(axis=1))
    others = np.where(np.arange(10) == outputs.labels[:, None], 0, p * np.log(1 - p)).sum(axis=1)
    assert modified_entropy(outputs.logits, outputs.labels) == pytest.approx(-(1 - own) * np.log(own) - others)


@pytest.mark.parametrize("wrong", [0, 1])
def test_features_keep_their_order_where_probabilities_are_one(wrong: int) -> None:
    logits = np.zeros((3, 3), np.float32)
    logits[:, wrong] = [50, 60, 70]
    labels = np.zeros(3, np.int64)
    surer = -1 if wrong else 1
    assert (np.diff(scaled_logit(logits, labels)) * surer > 0).all()
    assert (np.diff(modified_entropy(logits, labels)) * surer < 0).all()
    assert (np.diff(entropy(logits)) < 0).all()


def test_the_panel_takes_its_largest_folded_advantage_from_test_accuracy() -> None:
    panel = audit_1(Target(model((2, 1), (4, 1), examples=1000)))
    assert panel.largest == pytest.approx(max(max(a, 1 - a) for a in panel.aucs.values()) - 0.5)
    assert panel.audited_score(0.9) == 0.9 - panel.largest
    assert panel.aucs["top-one"] < 0.2
