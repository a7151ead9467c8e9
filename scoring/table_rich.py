"""The results table for a terminal: an entry's name, below it its lines, then the reasons; within 100 columns."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlsbench.scoring.rows import MEAN_ROW, NOTE, Row, Sheet, cell, heading, number
from mlsbench.scoring.text import clean

_REASON_LIMIT = 200


def rich_table(sheet: Sheet) -> Group:
    """What a rich console prints. The seeds in a mean and those planned stand once a line, in the primary column."""
    widths = _widths(sheet)
    parts: list[RenderableType] = [Text(sheet.caption, style="bold")] if sheet.caption else []
    parts.append(_heading(sheet, widths))
    reasons = []
    for group in sheet.groups:
        parts += [_entry(group[0]), _lines(group, sheet, widths)]
        reasons += [row for row in group if row.reason]
    if not sheet.groups:
        parts.append(Text("no entries", style="dim"))
    parts.append(Text(f"\n{NOTE}", style="dim"))
    parts += [_reason(row) for row in reasons]
    parts += [Text(line, style="yellow") for line in sheet.left_out]
    return Group(*parts)


def _cell(row: Row, sheet: Sheet, index: int) -> str:
    column = sheet.plan.columns[index]
    mean = row.means.get(column.name)
    return cell(row, column) if column.primary or mean is None else number(mean)


def _widths(sheet: Sheet) -> list[int]:
    rows = [row for group in sheet.groups for row in group]
    benchmark = max([len(MEAN_ROW), *(len(row.benchmark) for row in rows)])
    columns = range(len(sheet.plan.columns))
    return [
        benchmark,
        *(max([len(heading(sheet.plan.columns[i])), *(len(_cell(row, sheet, i)) for row in rows)]) for i in columns),
    ]


def _grid(widths: list[int]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=2)
    grid.add_column(width=widths[0], overflow="fold")
    for width in widths[1:]:
        grid.add_column(width=width, justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _heading(sheet: Sheet, widths: list[int]) -> Table:
    grid = _grid(widths)
    titles = [Text(heading(column), style="bold") for column in sheet.plan.columns]
    grid.add_row(Text(), Text(), *titles, Text("status", style="bold"))
    return grid


def _entry(row: Row) -> Text:
    rank = "–" if row.rank is None else str(row.rank)
    style = "dim" if row.n is None else ""
    return Text.assemble(
        "\n", (f"{rank:>2}", style), "  ", (row.name, f"{style} cyan".strip()), "  ", (row.type, "dim")
    )


def _lines(group: list[Row], sheet: Sheet, widths: list[int]) -> Table:
    grid = _grid(widths)
    for row in group:
        base = "dim" if row.n is None else ""
        cells = [
            Text(_cell(row, sheet, i), style="bold green" if column.name in row.best else base)
            for i, column in enumerate(sheet.plan.columns)
        ]
        status = Text(row.status.replace("; ", "\n"), style=base if row.status == "scored" else "red")
        grid.add_row(Text(), Text(row.benchmark, style="italic" if row.benchmark == MEAN_ROW else base), *cells, status)
    return grid


def _reason(row: Row) -> Text:
    what = Text.assemble((clean(row.name, 40), "cyan"), f", {row.benchmark}: ")
    return what.append(clean(row.status_and_reason, _REASON_LIMIT), style="red")
