"""Do our numbers agree with published ones? Each published number against what our seeds make likely for one more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mlsbench.scoring.aggregation import Column, EntryKey, EntryResult, Plan, aggregate
from mlsbench.scoring.interval import Mean, deviation, half_width_of_next
from mlsbench.scoring.record import NAME_LIMIT, Record
from mlsbench.scoring.rows import Published
from mlsbench.scoring.text import clean

Verdict = Literal["within", "outside", "n/a", ""]


@dataclass(frozen=True)
class Reproduced:
    """A metric of an entry on a benchmark, measured and published.

    measured: None unless every planned seed has a number; deviation: s, the sample deviation over the n seeds;
    allowed: t · s · √(1 + 1/n), where t is the two-sided 95 % quantile with n − 1 degrees of freedom; both None for
    one seed. published: None if nothing is published.
    """

    entry: EntryKey
    benchmark: str
    metric: Column
    n: int
    planned: int
    measured: Mean | None
    deviation: float | None
    allowed: float | None
    published: float | None

    @property
    def difference(self) -> float | None:
        """Measured minus published."""
        return None if self.measured is None or self.published is None else self.measured.mean - self.published

    @property
    def verdict(self) -> Verdict:
        """Whether the published number lies within `allowed` of ours; n/a for one seed; empty without two numbers."""
        if self.difference is None:
            return ""
        if self.allowed is None:
            return "n/a"
        return "within" if abs(self.difference) <= self.allowed else "outside"


@dataclass(frozen=True)
class Reproduction:
    """All comparisons in the order of entries, benchmarks and metrics, and a line for each published row left out."""

    rows: tuple[Reproduced, ...]
    left_out: tuple[str, ...]

    def count(self, verdict: Verdict) -> int:
        """How many comparisons ended so."""
        return sum(row.verdict == verdict for row in self.rows)


def reproduce(records: Iterable[Record], published: Iterable[Published], plan: Plan) -> Reproduction:
    """Compare the entries of `records`, one group of them (see `select`), with the `published` rows of their names.

    A published row that is not scored is no criterion: it is left out and said to be. Entries without a published row
    stand with their measured numbers alone.
    """
    rows: list[Reproduced] = []
    left_out = []
    stated = [p for p in published if p.benchmark in plan.benchmarks]
    for result in sorted(aggregate(records, plan), key=lambda result: result.key):
        own = [p for p in stated if (clean(p.name, NAME_LIMIT), p.type) == (result.key.name, result.key.type)]
        left_out += [
            f"published row {p.row}, {clean(p.name, 40)} on {p.benchmark}: {p.status}, no criterion"
            for p in own
            if p.status != "scored"
        ]
        rows += _entry(result, [p for p in own if p.status == "scored"], plan)
    return Reproduction(tuple(rows), tuple(left_out))


def _entry(result: EntryResult, published: Sequence[Published], plan: Plan) -> list[Reproduced]:
    rows = []
    for benchmark in result.benchmarks:
        own: list[Published | None] = [p for p in published if p.benchmark == benchmark.benchmark]
        for row in own or [None]:
            for metric in (column for column in plan.columns if not column.audit):
                values = [v for v in benchmark.values[metric.name] if v is not None]
                whole = len(values) == benchmark.planned
                rows.append(
                    Reproduced(
                        result.key,
                        benchmark.benchmark,
                        metric,
                        len(values),
                        benchmark.planned,
                        benchmark.means[metric.name],
                        deviation(values) if whole else None,
                        half_width_of_next(values) if whole else None,
                        row.metrics.get(metric.name) if row else None,
                    )
                )
    return rows
