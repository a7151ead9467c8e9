"""What a report is made from, made up: real records, audits of models that leak visibly, any number of entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from attack_arrays import changed, model, trained

from mlsbench.scoring import Column, Entry, Plan, Record, Setting, aggregate
from mlsbench.scoring.aggregation import EntryKey
from mlsbench.scoring.audit import Kept, audit_entry
from mlsbench.scoring.audit_document import Audit
from mlsbench.scoring.report.contents import Contents, Place

SEEDS = (42, 43, 44, 45)
COLUMNS = (
    Column("test_acc", "test acc", "max"), Column("mia_auc", "mia auc", "min"),
    Column("privacy_score", "privacy score", "max", primary=True), Column("audited_score", "audited score", "max"),
)  # fmt: skip


def made_up(
    names: Sequence[str] = ("erm", "scaled_loss", "early_stopping", "mine"),
    benchmarks: Sequence[str] = ("resnet20-cifar10", "vgg16bn-cifar100"),
    *,
    reason: str = "raised ValueError",
    seeds: Sequence[int] = SEEDS,
    **changes: Any,
) -> Contents:
    """Contents with an entry a name. The last one is an agent's: inverted on the first benchmark, failed on the last
    one with its last seed."""
    plan = Plan(tuple(benchmarks), tuple(seeds), COLUMNS)
    random = np.random.default_rng(7)
    records: list[Record] = []
    audits: dict[Place, Audit | str] = {}
    curves: dict[Place, Any] = {}
    for i, name in enumerate(names):
        last = name == names[-1]
        entry = Entry(name=name, type="agent" if last else "baseline", submission=f"{i:064x}")
        for benchmark in benchmarks:
            own = []
            for seed in seeds:
                failed = last and len(names) > 1 and benchmark == benchmarks[-1] and seed == seeds[-1]
                accuracy, auc = 0.8 + 0.1 * random.random(), 0.53 + 0.1 * random.random()
                metrics = {"test_acc": accuracy, "mia_auc": auc, "privacy_score": accuracy - auc + 0.5}
                found = {"inverted": "members are less confident"} if last and benchmark == benchmarks[0] else {}
                own.append(_record(entry, benchmark, seed, metrics, reason if failed else "", found))
            records += own
            key = EntryKey(own[0].entry.name, entry.type, entry.submission)
            audits[key, benchmark] = _audit(tuple(seeds), i % 3).model_copy(
                update={"entry": entry, "benchmark": benchmark}
            )
            curves[key, benchmark] = {seed: _curve(seed) for seed in seeds}
    values: dict[str, Any] = {
        "title": "Membership inference defense", "caption": "demo, protocol paper", "plan": plan,
        "results": aggregate(records, plan), "records": records, "audits": audits, "curves": curves,
        "controls": frozenset({"scaled_loss", "early_stopping"}), "published": _published(benchmarks),
        "versions": {"mlsbench": "1"},
    }  # fmt: skip
    return Contents(**{**values, **changes})


def _record(
    entry: Entry, benchmark: str, seed: int, metrics: dict[str, Any], reason: str, found: dict[str, str]
) -> Record:
    setting = Setting(
        task="demo", task_version=1, frozen="f" * 64, benchmark=benchmark, protocol="paper", seed=seed,
        model="resnet20",
        split_key="a" * 64, sandbox="process", device_kind="cpu", precision="fp32", torch="2.6", data="d" * 64,
    )  # fmt: skip
    return Record(
        job_key=setting.job_key(entry.submission), entry=entry, setting=setting, reason=reason, metrics=metrics,
        audit={"audited_score": 0.6 + seed / 1000}, findings=found,
        status="failed" if reason else "scored", environment={"python": "3.11", "device": "cpu", "runtime": None},
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@cache
def _audit(seeds: tuple[int, ...], strength: int) -> Audit:
    labels = model((5, 1), (4, 1), examples=300).labels
    kept = {}
    for seed in seeds:
        leaking = model((4 + strength, 2), (4, 2), right=(1, 0.85), examples=300, seed=seed)
        record = _record(Entry(name="x", type="agent", submission="0" * 64), "one", seed, {}, "", {})
        ours = trained(changed(leaking, labels=labels), test_acc=0.8 + strength / 45, seed=seed)
        kept[seed] = Kept(record, f"{seed:064x}", ours)
    return audit_entry(kept)


def _curve(seed: int) -> dict[str, tuple[float | None, ...]]:
    rise = [1 - 0.9 * 0.8 ** (epoch + seed % 3) for epoch in range(20)]
    return {
        "epoch": tuple(range(20)), "test_acc": tuple(0.85 * r for r in rise), "member_acc": tuple(rise),
        "mia_auc": tuple(0.5 + 0.1 * r for r in rise),
    }  # fmt: skip


def _published(benchmarks: Sequence[str]) -> list[Any]:
    metrics = {"test_acc": 0.89, "mia_auc": 0.57, "privacy_score": 0.82}
    return [
        SimpleNamespace(row=1, name="erm", type="baseline", benchmark=name, metrics=metrics, status="scored")
        for name in benchmarks
    ]
