"""Measured beside published, for a terminal, a document or a program."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlsbench.scoring.reproduction import Reproduced, Reproduction
from mlsbench.scoring.rows import NO_NUMBER, number
from mlsbench.scoring.table_text import escape_markdown, markdown_line
from mlsbench.scoring.text import clean

EXPLANATION = (
    "measured: mean ± half width of its 95 % t-interval (seeds in it / planned); s: sample deviation over the n seeds; "
    "allowed: t·s·√(1 + 1/n), t the two-sided 95 % quantile with n − 1 degrees of freedom, "
    "which is where one more run of ours would lie 19 times in 20; one seed has no deviation, so its verdict is n/a"
)
_HEAD = ("entry", "benchmark", "metric", "measured", "s", "published", "difference", "allowed", "verdict")
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
    """What a rich console prints."""
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for index, title in enumerate(_HEAD):
        grid.add_column(title, justify="right" if 3 <= index < 8 else "left", overflow="fold")
    before = None
    for row in reproduction.rows:
        same = before is not None and (before.entry, before.benchmark) == (row.entry, row.benchmark)
        name, benchmark, *cells, verdict = _cells(row)
        grid.add_row(
            *map(Text, ("", "") if same else (name, benchmark)), *map(Text, cells),
            Text(verdict, style=_STYLES.get(verdict, "")),
        )  # fmt: skip
        before = row
    parts: list[RenderableType] = [grid, Text(f"\n{summary(reproduction)}"), Text(EXPLANATION, style="dim")]
    return Group(*parts, *(Text(f"left out: {line}", style="yellow") for line in reproduction.left_out))


def markdown_reproduction(reproduction: Reproduction) -> str:
    """A GitHub Markdown table with what has to be said about it."""
    lines = [markdown_line(_HEAD), markdown_line([":--"] * 3 + ["--:"] * 5 + [":--"])]
    lines += [markdown_line([escape_markdown(cell) for cell in _cells(row)]) for row in reproduction.rows]
    lines += ["", escape_markdown(f"{summary(reproduction)}."), "", escape_markdown(f"Columns: {EXPLANATION}.")]
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
