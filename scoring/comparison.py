"""Is one entry better than another? Paired differences over the seeds that both trained with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlsbench import UserError
from mlsbench.scoring.aggregation import Column, EntryKey, EntryResult, Plan, aggregate
from mlsbench.scoring.interval import Mean, detectable, mean_over_seeds
from mlsbench.scoring.record import Record


@dataclass(frozen=True)
class Difference:
    """The paired differences a − b of the primary metric on `benchmark`, or of the entries' score for "mean".

    n: seeds where both have a number, of `planned`; difference: only if n == planned, so that a seed lost by a crash
    hides nothing; detectable: about the smallest true difference that n seeds find (two-sided 5 % test, 80 % power),
    None for n < 2 and without a difference.
    """

    benchmark: str
    n: int
    planned: int
    difference: Mean | None
    detectable: float | None

    @property
    def clear(self) -> bool:
        """The 95 % t-interval excludes zero."""
        mean = self.difference
        return mean is not None and mean.half_width is not None and abs(mean.mean) > mean.half_width


@dataclass(frozen=True)
class Comparison:
    """Entry `a` against entry `b`, by the primary metric, one difference a benchmark and one for the score, "mean"."""

    a: EntryKey
    b: EntryKey
    metric: Column
    differences: tuple[Difference, ...]


def compare(records: Iterable[Record], a_name: str, b_name: str, plan: Plan) -> Comparison:
    """Compare two entries of one group of records (see `select`).

    An entry is called by its name, or if several share it by name:type or name:type:submission, the digest or a start
    of it of 8 or more digits. UserError for an unknown or ambiguous one, and for one entry given twice.
    """
    results = aggregate(records, plan)
    a, b = _find(results, a_name), _find(results, b_name)
    if a.key == b.key:
        raise UserError(f"{a_name!r} and {b_name!r} are the same entry; name two")
    primary = plan.primary
    pairs = [
        (x.benchmark, x.values[primary.name], y.values[primary.name])
        for x, y in zip(a.benchmarks, b.benchmarks, strict=True)
    ]
    pairs.append(("mean", a.seed_scores, b.seed_scores))
    return Comparison(a.key, b.key, primary, tuple(difference(*pair) for pair in pairs))


def comparison_lines(comparison: Comparison) -> list[str]:
    """The comparison as plain lines for people: a heading, one line a benchmark, and what the words mean."""
    names = _label(comparison.a, comparison.b), _label(comparison.b, comparison.a)
    better = "above" if comparison.metric.sign > 0 else "below"
    seeds = comparison.differences[0].planned
    lines = [
        f"{comparison.metric.title}: {names[0]} minus {names[1]}, each seed of one against the same seed of the other; "
        f"{better} zero {names[0]} is better",
        "",
    ]
    width = max(len(d.benchmark) for d in comparison.differences)
    lines += [f"{d.benchmark:<{width}}  {_line(d, names, comparison.metric.sign)}" for d in comparison.differences]
    if any(d.detectable is not None for d in comparison.differences):
        lines += [
            "",
            f"± is half the width of the 95 % t-interval over {seeds} seeds; clear if zero is outside it.",
            "detectable: the smallest true difference that as many seeds, scattering as these do, would show as clear "
            "4 times in 5. A smaller one may be there unseen: more seeds find it.",
        ]
    elif any(d.difference is not None for d in comparison.differences):
        lines += ["", "One seed has no interval: nobody can say whether a difference is more than chance."]
    return lines


def _line(d: Difference, names: tuple[str, str], sign: int) -> str:
    if d.difference is None:
        return f"not compared: {d.n} of {d.planned} seeds have both numbers"
    count = f"({d.difference.n}/{d.difference.planned})"
    if d.difference.half_width is None or d.detectable is None:
        return f"{d.difference.mean:+.3f} {count}"
    clear = f"clear, {names[d.difference.mean * sign < 0]} is better" if d.clear else "not clear"
    return f"{d.difference.mean:+.3f} ± {d.difference.half_width:.3f} {count}  {clear}; detectable {d.detectable:.3f}"


def difference(benchmark: str, a: Sequence[float | None], b: Sequence[float | None]) -> Difference:
    """The paired difference of two series, see `Difference`."""
    paired = [x - y for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    mean = mean_over_seeds(paired, len(a)) if paired and len(paired) == len(a) else None
    return Difference(benchmark, len(paired), len(a), mean, detectable(paired) if mean else None)


def _find(results: Sequence[EntryResult], asked: str) -> EntryResult:
    found = [result for result in results if _called(result.key, asked)]
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(
            f"{r.key.name}:{r.key.type}:{r.key.submission[:12]}" for r in sorted(found, key=lambda r: r.key)
        )
        raise UserError(f"several entries are called {asked!r}; say which: {choices}")
    names = sorted({result.key.name for result in results})
    close = difflib.get_close_matches(asked, names)
    raise UserError(
        f"no entry is called {asked!r} here; "
        + (f"there is {', '.join(dict.fromkeys([*close, *names]))}" if names else "there are no entries")
    )


def _called(key: EntryKey, asked: str) -> bool:
    if asked in (key.name, f"{key.name}:{key.type}"):
        return True
    digits = asked.removeprefix(f"{key.name}:{key.type}:")
    return digits != asked and len(digits) >= 8 and key.submission.startswith(digits)


def _label(key: EntryKey, other: EntryKey) -> str:
    if key.name != other.name:
        return key.name
    return f"{key.name}:{key.type}" if key.type != other.type else f"{key.name}:{key.type}:{key.submission[:12]}"
