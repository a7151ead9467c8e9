"""Claim: the attacks that ship as baselines give the numbers of the audit's own, and learn from the references."""

from __future__ import annotations

import importlib
from functools import cache

import numpy as np
import pytest
import torch
from attack_arrays import changed, model

from mlsbench.scoring.attacks import Outputs, Target
from mlsbench.scoring.attacks.instance_vector import instance_vector
from mlsbench.scoring.attacks.lira import lira_fixed
from mlsbench.scoring.attacks.plain import correctness, loss, scaled_logit, top_one, true_label
from mlsbench.scoring.attacks.rmia import rmia
from mlsbench.scoring.membership import membership_auc
from mlsbench.tasks import baseline_path, get_task, read_submission

TASK = get_task("security-membership-inference-attack")
PACKAGE = "mlsbench.baselines.security_membership_inference_attack"
EXAMPLES = 1200
ALIKE = [
    ("gap", correctness), ("global_loss", loss), ("global_loss", true_label), ("global_probability", scaled_logit),
    ("global_top_one", top_one), ("lira", lira_fixed), ("rmia", rmia), ("instance_vector", instance_vector),
]  # fmt: skip


@cache
def models(references: int = 4) -> tuple[Outputs, ...]:
    """A target, and references in whole pairs on the same examples."""
    drawn = [
        model((6, 2), (3, 2), right=(0.97, 0.7), examples=EXAMPLES, seed=seed)
        for seed in (42, *range(46, 46 + references))
    ]
    return tuple(changed(one, labels=drawn[0].labels) for one in drawn)


def scores(name: str, target: Outputs, *references: Outputs) -> np.ndarray:
    """What the baseline `name` says of the target's examples, as float32, in which scores travel."""
    torch.manual_seed(0)
    attack = importlib.import_module(f"{PACKAGE}.{name}").MembershipAttack()
    labels = torch.from_numpy(target.labels)
    logits = torch.from_numpy(np.stack([r.logits for r in references]))
    attack.fit(logits, labels, torch.from_numpy(np.stack([r.member for r in references]).astype(np.int64)))
    found = attack.score(torch.from_numpy(target.logits), labels)
    assert found.shape == labels.shape
    return found.float().numpy()


@pytest.mark.parametrize(("name", "audited"), ALIKE)
def test_a_baseline_has_the_auc_of_the_audits_attack(name: str, audited: object) -> None:
    target, *references = models()
    expected = audited(Target(target, tuple(references))).values  # type: ignore[operator]
    auc = membership_auc(expected, target.member)
    assert membership_auc(scores(name, target, *references), target.member) == pytest.approx(auc, abs=1e-6)
    assert auc > 0.55


def test_lira_by_one_reference_a_side_has_the_order_of_the_audits() -> None:
    target, *references = models(2)
    expected = lira_fixed(Target(target, tuple(references))).values
    auc = membership_auc(expected, target.member)
    assert membership_auc(scores("lira", target, *references), target.member) == pytest.approx(auc, abs=1e-6)


@pytest.mark.parametrize("name", list(TASK.spec.baselines))
def test_a_baseline_is_a_submission_that_tells_members_from_others(name: str) -> None:
    read_submission(baseline_path(TASK.spec.id, name), TASK)
    target, *references = models()
    assert membership_auc(scores(name, target, *references), target.member) > 0.6


@pytest.mark.parametrize("name", ["global_top_three", "class_vector", "instance_vector", "lira", "shadow_model"])
def test_a_baseline_that_learns_turns_with_the_references_membership(name: str) -> None:
    """RMIA does not: it compares with the average of the references with an example and those without."""
    target, *references = models()
    turned = [changed(r, member=~r.member) for r in references]
    assert membership_auc(scores(name, target, *turned), target.member) < 0.45


@pytest.mark.parametrize("name", list(TASK.spec.baselines))
def test_scores_stay_finite_on_saturated_logits(name: str) -> None:
    target, *references = (changed(m, logits=m.logits * 1000) for m in models())
    assert np.isfinite(scores(name, target, *references)).all()
