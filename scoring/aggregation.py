"""From records to ranked entries: means over seeds, under rules that make a bad seed impossible to drop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal, NamedTuple

from mlsbench.scoring.interval import Mean, mean_over_seeds
from mlsbench.scoring.record import Record, Status
from mlsbench.scoring.selection import one_record_a_job

SOUND: frozenset[Status] = frozenset({"scored", "collapsed"})


@dataclass(frozen=True)
class Column:
    """A metric of the table, and which direction is better; `audit`: a number that no publication has."""

    name: str
    title: str
    direction: Literal["max", "min"]
    primary: bool = False
    audit: bool = False

    @property
    def sign(self) -> int:
        """1 if more is better, else −1."""
        return 1 if self.direction == "max" else -1


@dataclass(frozen=True)
class Plan:
    """The jobs that a complete entry has, and the columns that are shown, metrics or numbers of the audit; exactly one
    column is primary."""

    benchmarks: tuple[str, ...]
    seeds: tuple[int, ...]
    columns: tuple[Column, ...]

    @property
    def primary(self) -> Column:
        """The metric that ranks entries."""
        return next(column for column in self.columns if column.primary)


class EntryKey(NamedTuple):
    """What makes two records one entry's."""

    name: str
    type: str
    submission: str


@dataclass(frozen=True)
class Trouble:
    """A planned seed that is not scored; `status` is a record's or "missing"."""

    seed: int
    status: str
    reason: str


class Found(NamedTuple):
    """A finding of the audit of a seed's model: why `mia_auc` is a bad witness there."""

    seed: int
    kind: str
    text: str


@dataclass(frozen=True)
class BenchmarkResult:
    """One entry on one benchmark.

    n: how many of the `planned` seeds are scored or collapsed; values: each metric by seed, in the plan's order, None
    where there is no number; means: None where a planned seed has no number; troubles: every seed that is not scored;
    findings: of all seeds.
    """

    benchmark: str
    n: int
    planned: int
    values: Mapping[str, tuple[float | None, ...]]
    means: Mapping[str, Mean | None]
    troubles: tuple[Trouble, ...]
    findings: tuple[Found, ...] = ()

    @property
    def complete(self) -> bool:
        """Every planned seed is scored or collapsed."""
        return self.n == self.planned

    @property
    def collapsed(self) -> int:
        """How many seeds collapsed."""
        return sum(trouble.status == "collapsed" for trouble in self.troubles)


@dataclass(frozen=True)
class EntryResult:
    """One entry over all benchmarks of a plan.

    seed_scores: by seed, the unweighted mean of the primary metric over the benchmarks, None where one has no number;
    score: their mean, only if every benchmark is complete and has its mean; rank: from 1, shared by equals, None
    without a score; over: "rollout" in a row of several rollouts of a model, where each of them stands for a seed.
    """

    key: EntryKey
    benchmarks: tuple[BenchmarkResult, ...]
    seed_scores: tuple[float | None, ...]
    score: Mean | None
    rank: int | None = None
    over: Literal["seed", "rollout"] = "seed"

    @property
    def complete(self) -> bool:
        """Every planned job is scored or collapsed."""
        return all(result.complete for result in self.benchmarks)

    @property
    def place_class(self) -> int:
        """0: complete, nothing collapsed; 1: complete; 2: incomplete. A lower class stands above whatever the score."""
        return 2 if not self.complete else 1 if any(result.collapsed for result in self.benchmarks) else 0


def aggregate(records: Iterable[Record], plan: Plan) -> list[EntryResult]:
    """The entries of `records`, best first.

    Records of benchmarks or seeds that are not planned, and those run in process, are ignored. Of several records of
    one job `one_record_a_job` chooses. ValueError if the records belong to different tables (see `select`).
    """
    used = [
        r for r in one_record_a_job(records) if r.setting.benchmark in plan.benchmarks and r.setting.seed in plan.seeds
    ]
    if len({record.setting.group() for record in used}) > 1:
        raise ValueError("records of different groups are never in one table: select() one group first")
    entries: dict[EntryKey, dict[tuple[str, int], Record]] = defaultdict(dict)
    for record in used:
        key = EntryKey(record.entry.name, record.entry.type, record.entry.submission)
        entries[key][record.setting.benchmark, record.setting.seed] = record
    return ranked([_entry(key, jobs, plan) for key, jobs in entries.items()], plan.primary)


def rejected_entry(key: EntryKey, reason: str, plan: Plan) -> EntryResult:
    """The entry of a file that was no submission, so that there are no records: every planned seed is rejected."""
    return missing_entry(key, "rejected", reason, plan)


def missing_entry(key: EntryKey, status: str, reason: str, plan: Plan) -> EntryResult:
    """An entry without records, every planned seed of which ended as `status`."""
    nothing: tuple[None, ...] = (None,) * len(plan.seeds)
    troubles = tuple(Trouble(seed, status, reason) for seed in plan.seeds)
    values = {column.name: nothing for column in plan.columns}
    means = {column.name: None for column in plan.columns}
    results = tuple(BenchmarkResult(name, 0, len(plan.seeds), values, means, troubles) for name in plan.benchmarks)
    return EntryResult(key, results, nothing, None)


def _entry(key: EntryKey, jobs: Mapping[tuple[str, int], Record], plan: Plan) -> EntryResult:
    results = tuple(_benchmark(name, [jobs.get((name, seed)) for seed in plan.seeds], plan) for name in plan.benchmarks)
    by_seed = zip(*(result.values[plan.primary.name] for result in results), strict=True)
    seed_scores = tuple(_mean_if_all(values) for values in by_seed)
    return EntryResult(key, results, seed_scores, over_seeds(seed_scores))


def _benchmark(name: str, records: Sequence[Record | None], plan: Plan) -> BenchmarkResult:
    sound = [record if record is not None and record.status in SOUND else None for record in records]
    values = {c.name: tuple(_number(r, c.name) for r in sound) for c in plan.columns}
    troubles = []
    for seed, record in zip(plan.seeds, records, strict=True):
        if record is None:
            troubles.append(Trouble(seed, "missing", ""))
        elif record.status != "scored":
            troubles.append(Trouble(seed, record.status, record.reason))
    return BenchmarkResult(
        benchmark=name,
        n=sum(record is not None for record in sound),
        planned=len(records),
        values=values,
        means={metric: over_seeds(by_seed) for metric, by_seed in values.items()},
        troubles=tuple(troubles),
        findings=tuple(Found(r.setting.seed, *found) for r in sound if r for found in r.findings.items()),
    )


def _number(record: Record | None, name: str) -> float | None:
    return {**record.audit, **record.metrics}.get(name) if record else None


def over_seeds(values: Sequence[float | None]) -> Mean | None:
    """The mean of `values`, None if one of them is."""
    known = [value for value in values if value is not None]
    return mean_over_seeds(known, len(values)) if values and len(known) == len(values) else None


def _mean_if_all(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def ranked(entries: Sequence[EntryResult], primary: Column) -> list[EntryResult]:
    """`entries` with their ranks, best first."""

    def place(entry: EntryResult) -> tuple[int, bool, float]:
        return entry.place_class, entry.score is None, -primary.sign * entry.score.mean if entry.score else 0.0

    def order(entry: EntryResult) -> tuple[tuple[int, bool, float], int, EntryKey]:
        return place(entry), -sum(result.n for result in entry.benchmarks), entry.key

    places = [place(entry) for entry in entries]
    in_order = sorted(entries, key=order)
    return [replace(e, rank=1 + sum(p < place(e) for p in places) if e.score else None) for e in in_order]
