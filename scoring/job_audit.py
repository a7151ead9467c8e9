"""The audit that every job makes of its own model: `audit-1`, which needs no other model, and the findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mlsbench.scoring.attacks import Outputs, Target
from mlsbench.scoring.findings import findings
from mlsbench.scoring.panel import audit_1

FEWEST = 5  # members, and non-members, without which halves of them are nothing to fit an attack on


class JobAudit(NamedTuple):
    """What a record says beside its metrics: numbers by name, and texts by the kind of finding."""

    numbers: dict[str, float | None]
    findings: dict[str, str]


NO_AUDIT = JobAudit({}, {})


def audit_job(model: Outputs, test_acc: float, mia_auc_by_epoch: Sequence[float] = ()) -> JobAudit:
    """`audited_score`, `largest_advantage` and what chance makes of it, `generalization_gap`, audit-1's AUCs by attack.

    Empty for a pool too small to audit.
    """
    member = model.member
    if min(member.sum(), (~member).sum()) < FEWEST:
        return NO_AUDIT
    panel = audit_1(Target(model))
    right = model.logits.argmax(axis=1) == model.labels
    told = findings(panel.aucs, panel.chance.deviations[0], model, mia_auc_by_epoch)
    numbers: dict[str, float | None] = {
        "audited_score": panel.audited_score(test_acc),
        "largest_advantage": panel.largest,
        "chance_mean": panel.chance.mean,
        "chance_high": panel.chance.high,
        "generalization_gap": float(right[member].mean() - right[~member].mean()),
    }
    return JobAudit(numbers | dict(panel.aucs), {one.kind: one.text for one in told})
