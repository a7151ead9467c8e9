"""How much a model gives away of its canaries, mislabelled examples: the worst case that an average hides.

Each is a member with probability one half, like any other example. Aerni, Zhang and Tramèr 2024.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.attacks import AUDIT_1, Outputs, Target
from mlsbench.scoring.audit_document import CanaryResult, bounds
from mlsbench.scoring.roc import auc_interval, curve, tpr_at_fpr

RATES = (0.01, 0.05)  # five in a hundred, for canaries are few


def canary_numbers(model: Outputs, canary: NDArray[np.bool_]) -> dict[str, float | None]:
    """`canary_auc` and the ends of its interval, for a record; null without members or non-members among canaries.

    The attack is the log-odds of the wrong label that was trained. `canary` is bool [N]; empty if there are none.
    """
    if not canary.any():
        return {}
    names = ("canary_auc", "canary_auc_low", "canary_auc_high")
    found = model.take(np.flatnonzero(canary))
    if found.member.all() or not found.member.any():
        return dict.fromkeys(names)
    auc = auc_interval(found.scaled_logit, found.member)
    return dict(zip(names, (auc.value, auc.low, auc.high), strict=True))


def attack_canaries(canaries: Outputs) -> tuple[CanaryResult, ...]:
    """The attacks of audit-1 that fit nothing, on `canaries`; none unless members and non-members are among them.

    AUC with DeLong's interval, TPR at 1 % and 5 % FPR with Clopper and Pearson's, None below ten false positives.
    """
    if canaries.member.all() or not canaries.member.any():
        return ()
    results = []
    for attack in AUDIT_1:
        if attack.fitted == "nothing":
            values = attack.run(Target(canaries)).values
            roc = curve(values, canaries.member)
            at_1, at_5 = (tpr_at_fpr(roc, rate) for rate in RATES)
            results.append(
                CanaryResult(
                    name=attack.name, auc=bounds(auc_interval(values, canaries.member)),
                    tpr_at_1_percent_fpr=bounds(at_1) if at_1 else None,
                    tpr_at_5_percent_fpr=bounds(at_5) if at_5 else None,
                )
            )  # fmt: skip
    return tuple(results)
