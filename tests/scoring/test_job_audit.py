"""Every job audits itself, whatever numbers a loss makes of its model: nothing a candidate does can break the audit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from attack_arrays import Floats, model, split, trained

from mlsbench.scoring.attacks import AUDIT_1, Outputs
from mlsbench.scoring.job_audit import audit_job

EXAMPLES, LARGEST = 400, float(np.finfo(np.float32).max)


def _extreme(kind: str, classes: int) -> Floats:
    random, shape = np.random.default_rng(0), (EXAMPLES, classes)
    member = split(EXAMPLES)
    return {
        "all equal": np.zeros(shape),
        "all the largest": np.full(shape, LARGEST),
        "both ends": np.where(random.random(shape) < 0.5, LARGEST, -LARGEST),
        "subnormal": random.normal(size=shape) * 1e-45,
        "of any size": random.normal(size=shape) * 10.0 ** random.integers(-40, 38, size=shape),
        "members at the end": np.where(member[:, None] & (np.arange(classes) == 0), LARGEST, 0),
    }[kind]


@pytest.mark.parametrize("classes", [2, 3, 100])
@pytest.mark.parametrize(
    "kind", ["all equal", "all the largest", "both ends", "subnormal", "of any size", "members at the end"]
)
def test_extreme_logits_are_audited_like_others(kind: str, classes: int) -> None:
    labels = np.random.default_rng(1).integers(classes, size=EXAMPLES)
    outputs = Outputs(_extreme(kind, classes).astype(np.float32), labels, split(EXAMPLES))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = audit_job(trained(outputs, test_acc=0.5))
    assert np.isfinite(list(found.numbers.values())).all()
    assert found.numbers.keys() >= {attack.name for attack in AUDIT_1}


def test_the_audited_score_takes_the_largest_folded_advantage_from_the_accuracy() -> None:
    numbers = audit_job(trained(model((5, 2), (3, 2)), test_acc=0.9)).numbers
    largest = max(max(numbers[attack.name], 1 - numbers[attack.name]) for attack in AUDIT_1) - 0.5
    assert numbers["largest_advantage"] == largest
    assert numbers["audited_score"] == 0.9 - largest


def test_a_finding_comes_with_its_words() -> None:
    found = audit_job(trained(model((2, 1), (5, 1)))).findings
    assert list(found) == ["inverted"]
    assert "less confident" in found["inverted"]


@pytest.mark.parametrize("members", [1, 2, 4])
def test_a_pool_too_small_to_audit_has_no_audit(members: int) -> None:
    member = np.arange(2 * members) < members
    outputs = Outputs(np.zeros((2 * members, 10), np.float32), np.zeros(2 * members, np.int64), member)
    assert audit_job(trained(outputs, test_acc=0.5)) == ({}, {})
