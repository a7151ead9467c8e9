"""Measured beside published, for a terminal, a document or a program."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Group
from rich.text import Text

from mlsbench.scoring.reproduction import Reproduced, Reproduction
from mlsbench.scoring.rows import NO_NUMBER, number
from mlsbench.scoring.table_text import escape_markdown, markdown_line
from mlsbench.scoring.text import clean

MEASURED = (
    "measured: mean ± half width of its 95 % t-interval (seeds in it / planned); s: sample deviation over the n seeds"
)
COMPARED = (
    "; allowed: t·s·√(1 + 1/n), t the two-sided 95 % quantile with n − 1 degrees of freedom, which is where one more "
    "run of ours would lie 19 times in 20; one seed has no deviation, so its verdict is n/a"
)
_HEAD = ("entry", "benchmark", "metric", "measured", "s", "published", "difference", "allowed", "verdict")
_MEASURED_COLUMNS = 5
_WIDTHS = (7, 11, 12, 9)
_STYLES = {"within": "green", "outside": "red"}


def summary(reproduction: Reproduction) -> str:
    """One sentence that counts the verdicts."""
    within, outside, unknown = (reproduction.count(verdict) for verdict in ("within", "outside", "n/a"))
    if not within + outside + unknown:
        return "no published number to compare with"
    said = []
    if within + outside:
        said.append(f"{within} of {within + outside} published numbers lie within the allowed distance of ours")
    if unknown:
        said.append(f"{unknown} n/a: one seed says nothing about how far the next one would lie")
    return "; ".join(said)


def rich_reproduction(reproduction: Reproduction) -> Group:
    """What a rich console of 80 columns or more prints: everything that has a published number."""
    stated = [row for row in reproduction.rows if row.published is not None]
    width = max((len(clean(row.metric.title, 40)) for row in stated), default=0)
    lines = [Text(_line(("", *_HEAD[3:]), width), style="bold")] if stated else []
    for (entry, benchmark), rows in groupby(stated, key=lambda row: (row.entry, row.benchmark)):
        lines.append(Text.assemble("\n", (clean(entry.name, 50), "cyan"), f"  {benchmark}"))
        for row in rows:
            lines.append(Text(_line(_cells(row)[2:], width), style=_STYLES.get(row.verdict, "")))
    if stated:
        lines += [Text(f"\n{summary(reproduction)}"), Text(MEASURED + COMPARED, style="dim")]
    else:
        lines.append(Text(summary(reproduction)))
    return Group(*lines, *(Text(f"left out: {line}", style="yellow") for line in reproduction.left_out))


def _line(cells: Sequence[str], width: int) -> str:
    metric, measured, *numbers, verdict = cells
    aligned = "".join(f"{cell:>{n}}" for cell, n in zip(numbers, _WIDTHS, strict=True))
    return f"  {metric:<{width}}  {measured:>19}{aligned}  {verdict}"


def markdown_reproduction(reproduction: Reproduction) -> str:
    """A GitHub Markdown table with what has to be said about it; without published numbers the measured alone."""
    stated = any(row.published is not None for row in reproduction.rows)
    columns = len(_HEAD) if stated else _MEASURED_COLUMNS
    rules = [":--"] * 3 + ["--:"] * 5 + [":--"]
    lines = [markdown_line(_HEAD[:columns]), markdown_line(rules[:columns])]
    lines += [markdown_line([escape_markdown(cell) for cell in _cells(row)[:columns]]) for row in reproduction.rows]
    lines += ["", escape_markdown(f"{summary(reproduction)}."), ""] if stated else [""]
    lines.append(escape_markdown(f"Columns: {MEASURED}{COMPARED if stated else ''}."))
    notes = [f"- left out: {escape_markdown(line)}" for line in reproduction.left_out]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def reproduction_document(reproduction: Reproduction) -> dict[str, Any]:
    """The same for programs: `rows`, a `summary` and `left_out`."""
    rows = [
        {
            "name": row.entry.name,
            "type": row.entry.type,
            "benchmark": row.benchmark,
            "metric": row.metric.name,
            "mean": row.measured and row.measured.mean,
            "half_width": row.measured and row.measured.half_width,
            "n": row.n,
            "planned": row.planned,
            "deviation": row.deviation,
            "published": row.published,
            "difference": row.difference,
            "allowed": row.allowed,
            "verdict": row.verdict or None,
        }
        for row in reproduction.rows
    ]
    return {"rows": rows, "summary": summary(reproduction), "left_out": list(reproduction.left_out)}


def _cells(row: Reproduced) -> tuple[str, ...]:
    count = f"{row.n}/{row.planned}"
    return (
        clean(row.entry.name, 50),
        row.benchmark,
        clean(row.metric.title, 40),
        f"{number(row.measured)} ({count})" if row.measured else f"{NO_NUMBER} ({count})",
        _plain(row.deviation),
        _plain(row.published),
        NO_NUMBER if row.difference is None else f"{row.difference:+.3f}",
        _plain(row.allowed),
        row.verdict or NO_NUMBER,
    )


def _plain(value: float | None) -> str:
    return NO_NUMBER if value is None else f"{value:.3f}"
