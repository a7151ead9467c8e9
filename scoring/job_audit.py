"""The audit that every job makes of its own model: `audit-1`, which needs no other model, and the findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlsbench.scoring.attacks import Outputs, Target
from mlsbench.scoring.canaries import canary_numbers
from mlsbench.scoring.findings import findings
from mlsbench.scoring.panel import audit_1
from mlsbench.scoring.trained import Trained

FEWEST = 5  # members, and non-members, without which halves of them are nothing to fit an attack on


class JobAudit(NamedTuple):
    """What a record says beside its metrics: numbers by name, and texts by the kind of finding."""

    numbers: dict[str, float | None]
    findings: dict[str, str]


NO_AUDIT = JobAudit({}, {})


def audit_job(trained: Trained, mia_auc_by_epoch: Sequence[float] = ()) -> JobAudit:
    """`audited_score`, `largest_advantage` and what chance makes of it, `generalization_gap`, audit-1's AUCs by attack.

    With canaries `canary_auc` and the like, too. Empty for a pool too small to audit.
    """
    pool = Outputs(trained.pool_logits, trained.labels, trained.member)
    model = pool.take(np.flatnonzero(trained.honest))
    member = model.member
    if min(member.sum(), (~member).sum()) < FEWEST:
        return NO_AUDIT
    panel = audit_1(Target(model))
    right = model.logits.argmax(axis=1) == model.labels
    told = findings(panel.aucs, panel.chance.deviations[0], model, mia_auc_by_epoch)
    numbers: dict[str, float | None] = {
        "audited_score": panel.audited_score(trained.test_acc),
        "largest_advantage": panel.largest,
        "chance_mean": panel.chance.mean,
        "chance_high": panel.chance.high,
        "generalization_gap": float(right[member].mean() - right[~member].mean()),
    }
    numbers |= dict(panel.aucs) | canary_numbers(pool, trained.mislabelled)
    return JobAudit(numbers, {one.kind: one.text for one in told})
