"""What an agent hears of a test: numbers, and failures in fixed words."""

from __future__ import annotations

import builtins
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlsbench.scoring import Column, Plan, Record, Stored, aggregate, clean
from mlsbench.tasks.offers import OFFERS

# How a reason of a record begins, and what the agent is told. A reason may hold words of the candidate's own.
REASONS = (
    ("too slow", "the code took more time than it may"),
    ("out of memory", "the code took more memory than it may"),
    ("protocol", "the code disturbed the channel to the trainer"),
    ("raised ", "the code raised"),
    ("compute_loss returned a loss that does not depend", "the loss does not depend on the logits"),
    ("compute_loss returned a loss of", "the loss is not finite"),
    ("compute_loss has a gradient", "the gradient is not finite"),
    *(
        (f"{method} {verb}", f"{method} returned something else than its contract says")
        for method in OFFERS
        for verb in ("returned", "must return")
    ),
    ("the worker ended", "the code ended its process"),
    ("the worker closed", "the code ended its process"),
    ("the channel broke", "the code ended its process"),
)
OTHER = "the code broke the contract"
POINTS = 4  # of a curve


@dataclass(frozen=True)
class Report:
    """What the agent is told of a test; whether every seed of it was scored; its mean of the primary metric."""

    text: str
    valid: bool
    score: float | None


def report(stored: Sequence[Stored], plan: Plan) -> Report:
    """The report of one submission's jobs, which are those of `plan`."""
    (result,) = aggregate([one.record for one in stored], plan)
    primary = plan.primary.name
    lines = []
    if result.score:
        lines.append(f"{primary} {result.score.mean:.4f}, the mean over {len(plan.benchmarks)} benchmarks")
    else:
        lines.append(f"no {primary}: not every training came to a result")
    for benchmark in plan.benchmarks:
        lines.append(f"{benchmark}:")
        for one in stored:
            if one.record.setting.benchmark == benchmark:
                lines += _seed(one, plan)
    valid = all(one.record.status == "scored" for one in stored)
    return Report("\n".join(lines), valid, result.score.mean if result.score else None)


def fixed_reason(reason: str) -> str:
    """A rejection or failure in fixed words: of the `reason` only the kind, a known exception's type and a line."""
    found = re.match(r"(?:(?:rejected|failed(?: in epoch \d{1,6})?): )?(.*)", reason, re.DOTALL)
    rest = found[1] if found else reason
    words = next((words for start, words in REASONS if rest.startswith(start)), OTHER)
    if rest.startswith("raised "):
        kind = re.match(r"raised (\w{1,60})", rest)
        words += f" {kind[1]}" if kind and _known(kind[1]) else " an exception"
    line = re.search(r"\(line (\d{1,6})\)(?:$|; the call was )", rest)
    return words + (f", line {line[1]}" if line else "")


def curve(folder: Path, names: Sequence[str]) -> str:
    """The columns `names` of a job's curve at a few epochs, the last among them; "" if there is none."""
    try:
        with (folder / "curve.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        chosen = sorted({round((len(rows) - 1) * i / (POINTS - 1)) for i in range(POINTS)}) if rows else []
        points = [
            f"{rows[i]['epoch']}: " + ", ".join(f"{name} {float(rows[i][name]):.3f}" for name in names) for i in chosen
        ]
    except (OSError, KeyError, ValueError):
        return ""
    return "; ".join(points)


def _seed(one: Stored, plan: Plan) -> list[str]:
    record = one.record
    numbers = [f"{c.name} {value:.4f}" for c in plan.columns if (value := record.metrics.get(c.name)) is not None]
    head = f"  seed {record.setting.seed}: {', '.join([record.status, *numbers])}{_why(record)}"
    shape = curve(one.path.parent, ["test_acc", "member_acc", *(c.name for c in plan.columns if _followed(c))])
    return [head, f"    by epoch: {shape}"] if shape else [head]


def _followed(column: Column) -> bool:
    return not column.audit and not column.primary and column.name != "test_acc"


def _why(record: Record) -> str:
    if record.status == "collapsed":  # the verdict's own words, which hold nothing of the candidate's
        return f" ({clean(record.reason.removeprefix('collapsed: '), 200)})"
    if record.status in ("failed", "rejected"):
        epoch = re.match(r"failed in epoch (\d{1,6}): ", record.reason)
        return f" ({f'epoch {epoch[1]}: ' if epoch else ''}{fixed_reason(record.reason)})"
    return ""


def _known(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)
