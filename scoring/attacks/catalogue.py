"""The attacks by name, in three panels."""

from __future__ import annotations

from functools import partial

from mlsbench.scoring.attacks import plain, thresholds
from mlsbench.scoring.attacks.calibrated import calibrated
from mlsbench.scoring.attacks.class_vector import learn_class_vector
from mlsbench.scoring.attacks.density_ratio import learn_density_ratio
from mlsbench.scoring.attacks.fitted import Learner, on_halves, on_references
from mlsbench.scoring.attacks.instance_vector import instance_vector
from mlsbench.scoring.attacks.lira import lira, lira_fixed
from mlsbench.scoring.attacks.rmia import rmia, rmia_offline
from mlsbench.scoring.attacks.target import Attack
from mlsbench.scoring.attacks.top_three import learn_top_three


def _halves(name: str, learn: Learner) -> Attack:
    return Attack(name, partial(on_halves, learn), "halves")


def _references(name: str, learn: Learner) -> Attack:
    return Attack(name, partial(on_references, learn), "references")


# Never changed: another panel gets another name, so that audited scores can be compared.
AUDIT_1: tuple[Attack, ...] = (
    Attack("top-one", plain.top_one),
    Attack("top-one-inverted", plain.top_one_inverted),
    Attack("true-label", plain.true_label),
    Attack("loss", plain.loss),
    Attack("entropy", plain.negative_entropy),
    Attack("modified-entropy", plain.negative_modified_entropy),
    Attack("scaled-logit", plain.scaled_logit),
    Attack("correctness", plain.correctness),
    _halves("class-thresholds", thresholds.learn_class_thresholds),
    _halves("top-three", learn_top_three),
    _halves("class-vector", learn_class_vector),
    _halves("density-ratio", learn_density_ratio),
)

# The seven of Li, Li and Ribeiro 2021 with their own thresholds, which come from references.
PAPER: tuple[Attack, ...] = (
    Attack("paper-baseline", plain.correctness),
    _references("paper-global-loss", thresholds.learn_global_loss),
    _references("paper-global-probability", thresholds.learn_global_probability),
    Attack("paper-global-top-one", thresholds.global_top_one),
    _references("paper-global-top-three", learn_top_three),
    _references("paper-class-vector", learn_class_vector),
    Attack("paper-instance-vector", instance_vector, "references"),
)

REFERENCES: tuple[Attack, ...] = (
    _references("class-thresholds-references", thresholds.learn_class_thresholds),
    Attack("calibrated", calibrated, "references"),
    Attack("rmia", rmia, "references"),
    Attack("rmia-offline", rmia_offline, "references"),
    Attack("lira-fixed", lira_fixed, "references"),
    Attack("lira", lira, "references"),
)
