"""The audit of an entry on a benchmark: every attack on every kept model, as one document."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.attacks import (
    AUDIT_1,
    PAPER,
    REFERENCES,
    Attack,
    MissingReferencesError,
    Outputs,
    Scores,
    Target,
    complementary_references,
)
from mlsbench.scoring.attacks.fitted import halves
from mlsbench.scoring.audit_document import (
    BINS,
    KINDS,
    AttackResult,
    Audit,
    Bounds,
    Canaries,
    Exposed,
    PanelName,
    SeedAudit,
    bounds,
)
from mlsbench.scoring.canaries import attack_canaries
from mlsbench.scoring.epsilon import epsilon_bound
from mlsbench.scoring.exposure import exposure
from mlsbench.scoring.findings import findings, ties
from mlsbench.scoring.membership import confidence
from mlsbench.scoring.panel import audit_1
from mlsbench.scoring.record import Record
from mlsbench.scoring.roc import (
    FloatArray,
    Interval,
    auc_interval,
    curve,
    decided_advantage,
    drawn_rates,
    folded,
    held_out_advantage,
    tpr_at_fpr,
    tprs_at_fprs,
)
from mlsbench.scoring.trained import Trained

RATES = (0.01, 0.001)


@dataclass(frozen=True, eq=False)
class Kept:
    """What a job kept: its record and that file's SHA-256, its model and the curve of its training.

    white_box: scores of attacks on the pool, by name, that saw more than outputs, or why there are none.
    """

    record: Record
    digest: str
    trained: Trained
    mia_auc_by_epoch: Sequence[float] = ()
    white_box: Mapping[str, Scores | str] = field(default_factory=dict)

    @cached_property
    def pool(self) -> Outputs:
        """The model's outputs on the whole pool."""
        return Outputs(self.trained.pool_logits, self.trained.labels, self.trained.member)

    @cached_property
    def honest(self) -> NDArray[np.intp]:
        """The indices of the members and non-members that are no canaries."""
        return np.flatnonzero(self.trained.honest)


def audit_entry(
    kept: Mapping[int, Kept], left_out: Mapping[str, str] | None = None, audited: Collection[int] = ()
) -> Audit:
    """The audit of one entry on one benchmark from its kept models by seed, at least one.

    audited: the seeds whose models are attacked, all if none is given; the others are references only. Canaries are
    attacked alone, and nobody attacks what was for validation; both must be the same under all seeds.
    """
    models = {s: one.pool.take(one.honest) for s, one in kept.items()}
    fprs = drawn_rates(min(int((~model.member).sum()) for model in models.values()))
    chosen = sorted(audited or kept)
    seeds = tuple(audit_seed(seed, kept[seed], models, fprs) for seed in chosen)
    first = kept[min(kept)].record
    found = exposure(models)
    index = kept[min(kept)].honest
    exposed = None if found is None else Exposed(
        examples=tuple((int(index[i]), effect) for i, effect in found.effects), worst_examples=found.worst_examples,
        worst_examples_auc=found.worst_examples_auc, worst_class=found.worst_class,
        worst_class_auc=found.worst_class_auc,
    )  # fmt: skip
    return Audit(
        entry=first.entry, task=first.setting.task, protocol=first.setting.protocol,
        benchmark=first.setting.benchmark, seeds=seeds,
        references_only={s: kept[s].digest for s in sorted(kept.keys() - set(chosen))},
        left_out=dict(left_out or {}), exposure=exposed, fprs=tuple(fprs.tolist()),
    )  # fmt: skip


def audit_seed(seed: int, kept: Kept, models: Mapping[int, Outputs], fprs: FloatArray) -> SeedAudit:
    """The audit of the model of `seed`; the other `models`, all without canaries, are its references as far as may be.

    ROC curves are given at the false-positive rates `fprs`.
    """
    model, index = models[seed], kept.honest
    references = complementary_references(dict(models), seed)
    target = Target(model, references, kept.trained.test_logits)
    panel = audit_1(target)
    results, not_run = [_result(a.name, a.fitted, "audit-1", panel.scores[a.name], model, fprs) for a in AUDIT_1], {}
    groups: tuple[tuple[PanelName, tuple[Attack, ...]], ...] = (("paper", PAPER), ("references", REFERENCES))
    for group, attacks in groups:
        for attack in attacks:
            try:
                results.append(_result(attack.name, attack.fitted, group, attack.run(target), model, fprs))
            except MissingReferencesError as error:
                not_run[attack.name] = str(error)
    for name, found in kept.white_box.items():
        if isinstance(found, str):
            not_run[name] = found
        else:
            honest = Scores(found.values[index], found.scored[index])
            results.append(_result(name, "nothing", "white-box", honest, model, fprs))
    right = model.logits.argmax(axis=1) == model.labels
    accuracies = [float(right[model.member == kind].mean()) for kind in (True, False)]
    top = confidence(model.logits)
    told = findings(panel.aucs, panel.chance.deviations[0], model, kept.mia_auc_by_epoch)
    return SeedAudit(
        seed=seed, job_key=kept.record.job_key, record=kept.digest,
        references=tuple(s for s in sorted(models) if any(models[s] is r for r in references)),
        test_acc=kept.trained.test_acc, member_acc=accuracies[0], non_member_acc=accuracies[1],
        generalization_gap=accuracies[0] - accuracies[1], audited_score=panel.audited_score(kept.trained.test_acc),
        largest_advantage=panel.largest, strongest=panel.strongest,
        chance_mean=panel.chance.mean, chance_high=panel.chance.high,
        ties_float64=ties(top), ties_float32=ties(top.astype(np.float32)),
        confidence_histogram=_histogram(top, model), attacks=tuple(results), not_run=not_run,
        findings={one.kind: one.text for one in told}, canaries=_canaries(kept),
    )  # fmt: skip


def _result(name: str, fitted: str, panel: PanelName, scores: Scores, model: Outputs, fprs: FloatArray) -> AttackResult:
    values, member = scores.values[scores.scored], model.member[scores.scored]
    first, second = halves(member)
    auc, found = auc_interval(values, member), curve(values, member)
    low, lower = (tpr_at_fpr(found, rate) for rate in RATES)
    return AttackResult(
        name=name, panel=panel, fitted=fitted, scored=len(values), auc=bounds(auc),
        folded_auc=folded(auc.value), advantage=float(found.balanced_accuracies().max()) - 0.5,
        held_out_advantage=held_out_advantage(values, member, first, second),
        decided_advantage=decided_advantage(values, member) if scores.decides else None,
        tpr_at_1_percent_fpr=_bounds(low), tpr_at_01_percent_fpr=_bounds(lower),
        epsilon_at_least=epsilon_bound(values, member, first, second), note=scores.note,
        tprs=tuple(round(rate, 5) for rate in tprs_at_fprs(found, fprs).tolist()),
    )  # fmt: skip


def _canaries(kept: Kept) -> Canaries | None:
    if not kept.trained.mislabelled.any():
        return None
    canaries = kept.pool.take(np.flatnonzero(kept.trained.mislabelled))
    members = int(canaries.member.sum())
    return Canaries(members=members, non_members=len(canaries) - members, attacks=attack_canaries(canaries))


def _bounds(interval: Interval | None) -> Bounds | None:
    return None if interval is None else bounds(interval)


def _histogram(values: np.ndarray[Any, Any], model: Outputs) -> dict[str, tuple[int, ...]]:
    """Counts of the largest probability in 24 equal bins from 0 to 1."""
    return {
        name: tuple(int(n) for n in np.histogram(values[model.member == kind], bins=BINS, range=(0, 1))[0])
        for name, kind in zip(KINDS, (True, False), strict=True)
    }
