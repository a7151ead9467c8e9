"""The numbers that the page's script draws: plain lists and dictionaries, short enough for sixty entries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from mlsbench.scoring.aggregation import BenchmarkResult, EntryKey, EntryResult
from mlsbench.scoring.audit_document import AttackResult, Audit, Bounds, SeedAudit
from mlsbench.scoring.interval import Mean
from mlsbench.scoring.kept import TrainingCurve
from mlsbench.scoring.report.contents import Contents
from mlsbench.scoring.report.markup import Html
from mlsbench.scoring.rows import MEAN_ROW, Row

_EPOCHS_DRAWN = 120


def page_data(contents: Contents) -> dict[str, Any]:
    """Everything that is drawn, by entry."""
    columns = [
        {"name": c.name, "title": c.title, "direction": c.direction, "primary": c.primary}
        for c in contents.plan.columns
    ]
    of_entry = {contents.anchor(group[0]): group for group in contents.groups if group[0].n is not None}
    entries = [_entry(contents, result, of_entry[f"entry-{i}"]) for i, result in enumerate(contents.results, start=1)]
    published = [
        {"name": row.name, "kind": "published", "benchmark": row.benchmark, "means": _means(row.means)}
        for row in (row for group in contents.groups for row in group)
        if row.n is None and row.benchmark != MEAN_ROW and row.status == "scored"
    ]
    return {
        "benchmarks": contents.plan.benchmarks,
        "seeds": contents.plan.seeds,
        "columns": columns,
        "entries": entries,
        "published": published,
    }


def embedded(data: Mapping[str, Any]) -> Html:
    """`data` as JSON that may stand in a script element: no character of it can end that, or begin a comment."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII alone
    return Html(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))


def _entry(contents: Contents, result: EntryResult, group: Sequence[Row]) -> dict[str, Any]:
    parts = {b.benchmark: _part(contents, result.key, b) for b in result.benchmarks}
    first = group[0]
    return {
        "id": contents.anchor(first), "name": first.name, "kind": contents.kind(first), "rank": result.rank,
        "benchmarks": parts,
    }  # fmt: skip


def _part(contents: Contents, key: EntryKey, result: BenchmarkResult) -> dict[str, Any]:
    audit, seeds = contents.audits.get((key, result.benchmark)), contents.audited(key, result.benchmark)
    whole = contents.audited_whole(key, result.benchmark)
    curves = contents.curves.get((key, result.benchmark), {})
    return {
        "sound": not result.troubles,
        "values": {metric: [_short(v) for v in values] for metric, values in result.values.items()},
        "means": _means(result.means),
        "advantage": _short(fmean(s.largest_advantage for s in seeds)) if whole else None,
        "audit": _audit(audit, seeds) if isinstance(audit, Audit) and seeds else None,
        "curves": {seed: _thinned(curve) for seed, curve in curves.items() if curve},
    }


def _means(means: Mapping[str, Mean | None]) -> dict[str, list[float | None] | None]:
    return {name: [_short(mean.mean), _short(mean.half_width)] if mean else None for name, mean in means.items()}


def _audit(audit: Audit, seeds: Sequence[SeedAudit]) -> dict[str, Any]:
    by_name: dict[str, list[AttackResult]] = {}
    for seed in seeds:
        for attack in seed.attacks:
            by_name.setdefault(attack.name, []).append(attack)
    attacks = sorted(by_name.values(), key=lambda results: -fmean(r.folded_auc for r in results))
    return {
        "seeds": [s.seed for s in seeds],
        "fprs": [_short(rate) for rate in audit.fprs],
        "attacks": [_attack(results) for results in attacks],
        "histogram": {kind: _shares(seeds, kind) for kind in ("members", "non-members")},
    }


def _attack(results: Sequence[AttackResult]) -> dict[str, Any]:
    def mean(value: Callable[[AttackResult], float]) -> float | None:
        return _short(fmean(map(value, results)))

    def rate(value: Callable[[AttackResult], Bounds | None]) -> float | None:
        known = [found.value for r in results if (found := value(r)) is not None]
        return _short(fmean(known)) if known else None

    return {
        "name": results[0].name, "panel": results[0].panel,
        "auc": [mean(lambda r: r.auc.value), mean(lambda r: r.auc.low), mean(lambda r: r.auc.high)],
        "advantage": mean(lambda r: r.held_out_advantage),
        "tpr1": rate(lambda r: r.tpr_at_1_percent_fpr), "tpr01": rate(lambda r: r.tpr_at_01_percent_fpr),
        "epsilon": mean(lambda r: r.epsilon_at_least),
        "tprs": [_short(fmean(rates)) for rates in zip(*(r.tprs for r in results), strict=True)],
    }  # fmt: skip


def _shares(seeds: Sequence[SeedAudit], kind: str) -> list[float | None]:
    counts = [sum(column) for column in zip(*(s.confidence_histogram[kind] for s in seeds), strict=True)]
    return [_short(count / sum(counts)) for count in counts]


def _thinned(curve: TrainingCurve) -> dict[str, list[float | None]]:
    """At most 120 epochs, the last among them."""
    every = -(-len(curve["epoch"]) // _EPOCHS_DRAWN)
    return {name: [_short(v) for v in _ending_with_last(values, every)] for name, values in curve.items()}


def _ending_with_last(values: Sequence[float | None], every: int) -> Iterable[float | None]:
    return list(values[::-1][::every])[::-1]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
