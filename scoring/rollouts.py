"""Rollouts of LLM agents: what is kept of each beside its records, and how those of a model become its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from mlsbench import UserError
from mlsbench.scoring.aggregation import (
    BenchmarkResult,
    EntryKey,
    EntryResult,
    Found,
    Plan,
    Trouble,
    missing_entry,
    over_seeds,
    ranked,
)
from mlsbench.scoring.comparison import Difference, difference
from mlsbench.scoring.record import (
    MOST_BYTES,
    ROLLOUTS,
    Digest,
    Entry,
    EntryType,
    Group,
    Model,
    Moment,
    Name,
    ProtocolName,
    Reason,
    Record,
    read_whole,
    write_whole,
)
from mlsbench.scoring.rows import STATUS_ORDER
from mlsbench.scoring.text import clean

ROLLOUT_FILE = "rollout.json"
KINDS: tuple[Literal["vanilla", "agent"], ...] = ("vanilla", "agent")

End = Literal["submitted", "actions", "time", "tokens", "cost", "replies", "another limit"]

Count = Annotated[int, Field(ge=0, lt=2**53)]


class Rollout(Model):
    """One rollout of an agent: whose records are its first try and its answer, and what it took."""

    schema_version: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    name: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="the model, the entry's name")
    task: Name
    task_version: Annotated[int, Field(gt=0)]
    frozen: Digest
    protocol: ProtocolName
    split_key: Digest = Field(description="SHA-256 of the key of the grading")
    precision: Literal["fp32", "bf16"]
    test_key: Digest = Field(description="SHA-256 of the key of the tests")
    benchmarks: tuple[Name, ...] = Field(description="of the grading, hidden ones included")
    seeds: tuple[int, ...]
    vanilla: Digest | None = Field(description="submission of the first test; null: no test was run")
    agent: Digest | None = Field(description="the submission; null: nothing was submitted")
    submitted_test: Annotated[int, Field(gt=0)] | None = None
    ended: End = Field(description="submitted, or the budget that ran out")
    tests: Count
    actions: Count
    seconds: Annotated[float, Field(ge=0)] = Field(description="wall time of the conversation, tests included")
    tokens: Count
    cost: Annotated[float, Field(ge=0)] | None = Field(description="US dollars; null: no prices are known")
    transcript: Reason = Field("", description="Inspect's log")
    created: Moment

    @property
    def automatic(self) -> bool:
        """A budget ran out, and the latest valid test was submitted."""
        return self.agent is not None and self.ended != "submitted"

    def group(self) -> Group:
        """The table that its records belong to."""
        return Group(self.task, self.task_version, self.frozen, self.protocol, self.split_key, self.precision)

    def entry(self, kind: Literal["vanilla", "agent"]) -> Entry | None:
        """The entry of its first try or its answer, None if there is none."""
        digest = self.vanilla if kind == "vanilla" else self.agent
        return None if digest is None else Entry(name=self.name, type=kind, submission=digest)


def rollout_folder(runs: Path, task: str, protocol: str, rollout: str) -> Path:
    """Where everything of a rollout but its records lies."""
    return runs / task / protocol / ROLLOUTS / rollout


def write_rollout(folder: Path, rollout: Rollout) -> None:
    """Write `rollout` to its `folder` in one step."""
    write_whole(folder / ROLLOUT_FILE, rollout.model_dump_json(indent=2).encode() + b"\n")


def read_rollout(folder: Path) -> Rollout:
    """The rollout in `folder`. UserError, naming the file and a fault, if it cannot be read."""
    path = folder / ROLLOUT_FILE
    try:
        rollout = Rollout.model_validate_json(read_whole(path, MOST_BYTES))
        if rollout.id == folder.name:
            return rollout
        fault = "it is that of another folder: a copy would count twice"
    except OSError as error:
        fault = error.strerror or str(error)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        fault = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    raise UserError(clean(f"{path} is no readable rollout ({fault})", 1000))


def find_rollouts(runs: Path, task: str, protocol: str) -> tuple[list[Rollout], list[str]]:
    """The rollouts of a task and protocol by time, and a line for each that cannot be read."""
    found, problems = [], []
    for path in sorted((runs / task / protocol / ROLLOUTS).glob(f"*/{ROLLOUT_FILE}")):
        try:
            found.append(read_rollout(path.parent))
        except UserError as error:
            problems.append(str(error))
    return sorted(found, key=lambda rollout: (rollout.created, rollout.id)), problems


def in_table(rollouts: Sequence[Rollout], records: Sequence[Record]) -> tuple[list[Rollout], list[str]]:
    """The rollouts whose records belong to the table of `records`, and a line about the others.

    Without records, those of the newest rollout's table.
    """
    if not rollouts:
        return [], []
    group = records[0].setting.group() if records else rollouts[-1].group()
    own = [rollout for rollout in rollouts if rollout.group() == group]
    other = len(rollouts) - len(own)
    said = f"{other} {'rollout' if other == 1 else 'rollouts'} left out: of another split key, code or precision"
    return own, [said] if other else []


def by_model(rollouts: Iterable[Rollout]) -> dict[str, list[Rollout]]:
    """The rollouts of each model."""
    models: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        models.setdefault(rollout.name, []).append(rollout)
    return models


def with_rollouts(results: Sequence[EntryResult], rollouts: Iterable[Rollout], plan: Plan) -> list[EntryResult]:
    """`results` with one row a model and kind for those entries that are of `rollouts`, ranked again.

    A row of several rollouts holds the means over them, and their intervals. A rollout that submitted nothing counts as
    missing, so that nobody can drop a bad one.
    """
    known = {result.key: result for result in results}
    rows, used = [], set()
    for name, mine in by_model(rollouts).items():
        for kind in KINDS:
            parts = [_part(rollout, kind, known, plan) for rollout in mine]
            used |= {part.key for part in parts}
            rows.append(parts[0] if len(parts) == 1 else _merged(name, kind, parts, plan))
    return ranked([*(result for result in results if result.key not in used), *rows], plan.primary)


def differences(results: Sequence[EntryResult], rollouts: Sequence[Rollout], plan: Plan) -> Difference:
    """Agent minus vanilla for the `rollouts` of one model: paired over seeds if it is one rollout, else over rollouts.

    results: those of `aggregate`, not yet merged.
    """
    known = {result.key: result for result in results}
    pairs = [[_part(rollout, kind, known, plan) for kind in reversed(KINDS)] for rollout in rollouts]
    if len(pairs) == 1:
        agent, vanilla = pairs[0]
        return difference("mean", agent.seed_scores, vanilla.seed_scores)
    agents, vanillas = ([pair[i].score for pair in pairs] for i in (0, 1))
    return difference("mean", *([score.mean if score else None for score in side] for side in (agents, vanillas)))


def rollout_lines(results: Sequence[EntryResult], rollouts: Iterable[Rollout], plan: Plan) -> list[str]:
    """A line a model: its paired difference from first try to answer, and what its rollouts took."""
    return [
        f"{clean(name, 60)}, vanilla → agent: {_difference(differences(results, mine, plan), len(mine), plan)}; "
        + _effort(mine)
        for name, mine in by_model(rollouts).items()
    ]


def _difference(found: Difference, rollouts: int, plan: Plan) -> str:
    unit, title = "seeds" if rollouts == 1 else "rollouts", plan.primary.title
    mean = found.difference
    if mean is None:
        return f"not compared, {found.n} of {found.planned} {unit} have both scores"
    count = f"({mean.n}/{mean.planned} {unit})"
    if mean.half_width is None or found.detectable is None:
        return f"{title} {mean.mean:+.3f} {count}"
    clear = "clear" if found.clear else "not clear"
    return f"{title} {mean.mean:+.3f} ± {mean.half_width:.3f} {count}, {clear}, detectable {found.detectable:.3f}"


def _effort(rollouts: Sequence[Rollout]) -> str:
    many = len(rollouts)
    parts = [
        f"{many} rollout{'' if many == 1 else 's'}",
        f"{sum(r.tests for r in rollouts)} tests",
        f"{sum(r.actions for r in rollouts)} actions",
        f"{sum(r.tokens for r in rollouts):,} tokens",
    ]
    costs = [r.cost for r in rollouts if r.cost is not None]
    parts += [f"${sum(costs):.2f}"] if len(costs) == many else []
    automatic = [r.ended for r in rollouts if r.automatic]
    if automatic:
        parts.append(f"{len(automatic)} submitted automatically (out of {', '.join(dict.fromkeys(automatic))})")
    nothing = sum(r.agent is None for r in rollouts)
    parts += [f"{nothing} submitted nothing"] if nothing else []
    return ", ".join(parts)


def _part(rollout: Rollout, kind: EntryType, known: Mapping[EntryKey, EntryResult], plan: Plan) -> EntryResult:
    """The result of a rollout's own entry; every seed is missing if it has none or no records of it."""
    entry = rollout.entry("vanilla" if kind == "vanilla" else "agent")
    if entry is None:
        why = "no test was run" if rollout.vanilla is None else "no test was valid, and nothing was submitted"
        return missing_entry(EntryKey(rollout.name, kind, ""), "missing", why, plan)
    key = EntryKey(entry.name, entry.type, entry.submission)
    return known.get(key) or missing_entry(key, "missing", "", plan)


def _merged(name: str, kind: EntryType, parts: Sequence[EntryResult], plan: Plan) -> EntryResult:
    benchmarks = tuple(_merged_benchmark(i, parts, plan) for i in range(len(plan.benchmarks)))
    scores = tuple(part.score.mean if part.score else None for part in parts)
    digests = {part.key.submission for part in parts}
    key = EntryKey(name, kind, digests.pop() if len(digests) == 1 else "")
    return EntryResult(key, benchmarks, scores, over_seeds(scores), over="rollout")


def _merged_benchmark(index: int, parts: Sequence[EntryResult], plan: Plan) -> BenchmarkResult:
    mine = [part.benchmarks[index] for part in parts]
    values = {c.name: tuple(m.mean if (m := one.means[c.name]) else None for one in mine) for c in plan.columns}
    troubles = [_trouble(number, one) for number, one in enumerate(mine, 1) if one.troubles]
    kinds = [{found.kind: found for found in reversed(one.findings)} for one in mine]
    findings = [Found(number, *found[1:]) for number, own in enumerate(kinds, 1) for found in own.values()]
    return replace(
        mine[0],
        n=sum(one.complete for one in mine),
        planned=len(mine),
        values=values,
        means={metric: over_seeds(of) for metric, of in values.items()},
        troubles=tuple(troubles),
        findings=tuple(findings),
    )


def _trouble(number: int, result: BenchmarkResult) -> Trouble:
    """The worst that happened to a seed of a rollout stands for the rollout."""
    rank: Callable[[Trouble], int] = lambda trouble: STATUS_ORDER.index(trouble.status)  # noqa: E731
    worst = min(result.troubles, key=rank)
    alike = [str(trouble.seed) for trouble in result.troubles if trouble.status == worst.status]
    seeds = "" if len(alike) == result.planned else f"{'seed' if len(alike) == 1 else 'seeds'} {', '.join(alike)}"
    reason = ": ".join(part for part in (seeds, worst.reason.removeprefix(f"{worst.status}: ")) if part)
    return Trouble(number, worst.status, reason)
