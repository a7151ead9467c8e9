"""The rows of the results table, the same in every format: one for an entry and benchmark, then one for its mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import fmean
from typing import Protocol

from mlsbench.scoring.aggregation import Column, EntryResult, Found, Plan, Trouble
from mlsbench.scoring.interval import Mean
from mlsbench.scoring.record import NAME_LIMIT
from mlsbench.scoring.text import clean

MEAN_ROW = "mean"
NO_NUMBER = "–"
NOTE = "mean ± half width of its 95 % t-interval over seeds (seeds in the mean / planned)"
ROLLOUT_NOTE = "; of several rollouts: over rollouts, each of which is a mean over seeds"
STATUS_ORDER = ("failed", "rejected", "infra_failed", "cancelled", "missing", "collapsed")
_ARROWS = {"max": "↑", "min": "↓"}


class Published(Protocol):
    """A row of a published table; `row` numbers its lines, so that two of one name stay apart."""

    @property
    def row(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def benchmark(self) -> str: ...
    @property
    def metrics(self) -> Mapping[str, float | None]: ...
    @property
    def status(self) -> str: ...


@dataclass(frozen=True)
class Row:
    """One line of the table.

    benchmark: "mean" in the line of the entry's score; means: a key for each metric that the line shows, None for no
    number; n: how many of the `planned` seeds are in them, both None in published lines; troubles: pairs as ("failed
    1/4", "seed 44: raised ValueError"); findings: pairs as ("inverted 4/4", "seed 42: members are less …"), the text
    that of one seed; best: metrics in which no sound line of the benchmark is better; over: what n counts, "seed" or
    "rollout".
    """

    rank: int | None
    name: str
    type: str
    submission: str
    benchmark: str
    means: Mapping[str, Mean | None]
    n: int | None
    planned: int | None
    troubles: tuple[tuple[str, str], ...] = ()
    findings: tuple[tuple[str, str], ...] = ()
    best: frozenset[str] = frozenset()
    sound: bool = False
    over: str = "seed"

    @property
    def status(self) -> str:
        """As "scored", "scored; inverted 4/4" or "failed 1/4; missing 1/4"."""
        return "; ".join(status for status, _ in self._pairs)

    @property
    def reason(self) -> str:
        """As "seed 44: raised ValueError; seed 45"."""
        return "; ".join(reason for _, reason in self._pairs if reason)

    @property
    def status_and_reason(self) -> str:
        """As "failed 1/4: seed 44: raised ValueError; missing 1/4: seed 45"."""
        return "; ".join(f"{status}: {reason}" if reason else status for status, reason in self._pairs)

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        return (*(self.troubles or (("scored", ""),)), *self.findings)


@dataclass(frozen=True)
class Sheet:
    """What a format gets: the lines in groups, one an entry, and cleaned texts to put around them."""

    plan: Plan
    groups: list[list[Row]]
    caption: str = ""
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def legend(self) -> str:
        """What the cells mean."""
        return NOTE + (ROLLOUT_NOTE if any(row.over == "rollout" for rows in self.groups for row in rows) else "")


def heading(column: Column) -> str:
    """The title of a metric's column with an arrow for the better direction."""
    return f"{clean(column.title, 40)} {_ARROWS[column.direction]}"


def number(mean: Mean) -> str:
    """As "0.822 ± 0.021", or "0.822" for a single seed."""
    return f"{mean.mean:.3f}" if mean.half_width is None else f"{mean.mean:.3f} ± {mean.half_width:.3f}"


def cell(row: Row, column: Column) -> str:
    """As "0.822 ± 0.021 (4/4)"; "2/4" in the primary column of an incomplete line; "" where the line shows nothing."""
    if column.name not in row.means:
        return ""
    mean = row.means[column.name]
    unit = " rollouts" if row.over == "rollout" else ""
    if mean is not None:
        return number(mean) if row.n is None else f"{number(mean)} ({mean.n}/{mean.planned}{unit})"
    if column.primary and row.n is not None and row.planned is not None and row.n < row.planned:
        return f"{row.n}/{row.planned}{unit}"
    return NO_NUMBER


def entry_groups(results: Sequence[EntryResult], plan: Plan, published: Iterable[Published] = ()) -> list[list[Row]]:
    """The lines of the table, a list for each entry.

    Published entries follow the first measured one of their name and type, or come last.
    """
    by_row = sorted((p for p in published if p.benchmark in plan.benchmarks), key=lambda p: p.row)
    waiting = [list(rows) for _, rows in groupby(by_row, key=lambda p: p.row)]
    groups = []
    for result in results:
        groups.append(_measured(result, plan))
        namesakes = [rows for rows in waiting if _identity(rows[0]) == (result.key.name, result.key.type)]
        groups += [_published(rows, plan) for rows in namesakes]
        waiting = [rows for rows in waiting if rows not in namesakes]
    groups += [_published(rows, plan) for rows in waiting]
    return _with_best(groups, plan)


def _identity(published: Published) -> tuple[str, str]:
    return clean(published.name, NAME_LIMIT), clean(published.type, 20)


def _measured(result: EntryResult, plan: Plan) -> list[Row]:
    identity = (result.rank, *result.key)
    rows = [
        Row(
            *identity, b.benchmark, b.means, b.n, b.planned, _troubles(b.troubles, b.planned, result.over),
            _findings(b.findings, b.planned, result.over), sound=not b.troubles, over=result.over,
        )
        for b in result.benchmarks
    ]  # fmt: skip
    troubles = [trouble for b in result.benchmarks for trouble in b.troubles]
    unsound = {trouble.seed for trouble in troubles if trouble.status != "collapsed"}
    jobs = sum(b.planned for b in result.benchmarks)
    mean = Row(
        *identity,
        benchmark=MEAN_ROW,
        means={plan.primary.name: result.score},
        n=len(result.seed_scores) - len(unsound),
        planned=len(result.seed_scores),
        troubles=tuple((status, "") for status, _ in _troubles(troubles, jobs)),
        findings=tuple((count, "") for count, _ in _findings([f for b in result.benchmarks for f in b.findings], jobs)),
        sound=not troubles,
        over=result.over,
    )
    return [*rows, mean]


def _troubles(troubles: Sequence[Trouble], planned: int, over: str = "seed") -> tuple[tuple[str, str], ...]:
    pairs = []
    for status in STATUS_ORDER:
        seeds: dict[str, list[int]] = {}
        for trouble in troubles:
            if trouble.status == status:
                seeds.setdefault(trouble.reason.removeprefix(f"{status}: "), []).append(trouble.seed)
        if seeds:
            count = sum(map(len, seeds.values()))
            reasons = [
                f"{_seeds(which, over)}: {reason}" if reason else _seeds(which, over) for reason, which in seeds.items()
            ]
            pairs.append((f"{status} {count}/{planned}", "; ".join(reasons)))
    return tuple(pairs)


def _findings(findings: Sequence[Found], planned: int, over: str = "seed") -> tuple[tuple[str, str], ...]:
    kinds: dict[str, list[Found]] = {}
    for found in findings:
        kinds.setdefault(found.kind, []).append(found)
    return tuple(
        (f"{kind} {len(of_kind)}/{planned}", f"{_seeds([of_kind[0].seed], over)}: {of_kind[0].text}")
        for kind, of_kind in kinds.items()
    )


def _seeds(seeds: Sequence[int], over: str) -> str:
    return f"{over if len(seeds) == 1 else f'{over}s'} {', '.join(map(str, seeds))}"


def _published(rows: Sequence[Published], plan: Plan) -> list[Row]:
    name, kind = _identity(rows[0])
    identity = (None, name, f"published {kind}", "")
    lines = []
    for row in sorted(rows, key=lambda r: plan.benchmarks.index(r.benchmark)):
        means = {column.name: _stated(row.metrics.get(column.name)) for column in plan.columns}
        status = clean(row.status, 40)
        lines.append(Row(*identity, row.benchmark, means, None, None, () if status == "scored" else ((status, ""),)))
    scores = [score for row in rows if (score := row.metrics.get(plan.primary.name)) is not None]
    score = fmean(scores) if len(scores) == len(plan.benchmarks) else None
    counts = Counter(clean(row.status, 40) for row in rows if row.status != "scored")
    troubles = tuple((f"{status} {n}/{len(plan.benchmarks)}", "") for status, n in counts.items())
    return [*lines, Row(*identity, MEAN_ROW, {plan.primary.name: _stated(score)}, None, None, troubles)]


def _stated(value: float | None) -> Mean | None:
    return None if value is None else Mean(value, None, 0, 0)


def _with_best(groups: list[list[Row]], plan: Plan) -> list[list[Row]]:
    best: dict[tuple[str, str], float] = {}
    for benchmark in (*plan.benchmarks, MEAN_ROW):
        sound = [row for rows in groups for row in rows if row.benchmark == benchmark and row.sound]
        for column in plan.columns:
            means = [mean.mean for row in sound if (mean := row.means.get(column.name)) is not None]
            if len(means) > 1:
                best[benchmark, column.name] = max(means, key=lambda mean: column.sign * mean)

    def marked(row: Row) -> Row:
        names = {m for m, mean in row.means.items() if row.sound and mean and best.get((row.benchmark, m)) == mean.mean}
        return replace(row, best=frozenset(names))

    return [[marked(row) for row in rows] for rows in groups]
