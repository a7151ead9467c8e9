"""Attack models are fitted on known membership and judged on the rest; where nothing leaks they find nothing."""

from __future__ import annotations

import numpy as np
import pytest
from attack_arrays import changed, model, untrained

from mlsbench.scoring.attacks import AUDIT_1, Attack, Outputs, Target
from mlsbench.scoring.attacks.fitted import halves, on_halves
from mlsbench.scoring.membership import membership_auc

FITTED = [attack for attack in AUDIT_1 if attack.fitted == "halves"]
by_name = pytest.mark.parametrize("attack", FITTED, ids=lambda a: a.name)


def test_halves_share_nothing_and_have_the_same_share_of_members() -> None:
    member = np.arange(101) < 40
    first, second = halves(member)
    assert sorted([*first, *second]) == list(range(101))
    assert (member[first].sum(), member[second].sum()) == (20, 20)


def test_no_example_is_scored_by_what_knows_its_membership() -> None:
    outputs = untrained(300)
    outputs = changed(outputs, logits=np.arange(300.0)[:, None] + np.zeros((300, 10)))
    asked: list[tuple[set[float], set[float]]] = []

    def learn(known: list[Outputs]) -> object:
        seen = {float(v) for one in known for v in one.logits[:, 0]}

        def score(other: Outputs) -> np.ndarray:
            assert not other.member.any()
            asked.append((seen, {float(v) for v in other.logits[:, 0]}))
            return np.zeros(len(other))

        return score

    on_halves(learn, Target(outputs))  # type: ignore[arg-type]
    assert [len(unknown) for _, unknown in asked] == [150, 150]
    assert all(not seen & unknown for seen, unknown in asked)


@by_name
def test_classes_of_unequal_membership_by_chance_do_not_help(attack: Attack) -> None:
    """With 100 classes of 40 examples the shares of members vary; scores must not carry them from half to half."""
    outputs = untrained(4000, classes=100)
    auc = membership_auc(attack.run(Target(outputs)).values, outputs.member)
    assert abs(auc - 0.5) < 3 * 0.0092 * np.sqrt(2)


@by_name
def test_attack_models_come_near_the_best_that_is_possible(attack: Attack) -> None:
    outputs = model((5, 1), (3, 1), examples=4000)
    best = membership_auc(outputs.scaled_logit, outputs.member)
    assert membership_auc(attack.run(Target(outputs)).values, outputs.member) > best - 0.03


@by_name
def test_the_decision_is_at_zero(attack: Attack) -> None:
    outputs = model((5, 1), (3, 1), examples=4000)
    found = attack.run(Target(outputs))
    guess = found.values > 0
    assert found.decides
    assert guess[outputs.member].mean() + (~guess)[~outputs.member].mean() > 1.6


def test_the_density_ratio_sees_a_pinned_confidence_that_no_order_shows() -> None:
    outputs = model((1, 0.05), (1, 2))
    by = {a.name: membership_auc(a.run(Target(outputs)).values, outputs.member) for a in AUDIT_1}
    assert abs(by["scaled-logit"] - 0.5) < 0.05
    assert by["density-ratio"] > 0.9
