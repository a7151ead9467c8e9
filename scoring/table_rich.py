"""The results table for a terminal: an entry's name, below it its lines, then the reasons; from 80 columns on."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from mlsbench.scoring.rows import MEAN_ROW, Row, Sheet, cell, heading, number
from mlsbench.scoring.text import clean

_REASON_LIMIT = 200
_NAME_LIMIT = 50  # so that no name goes on in a next line, where it could look like one of the table
_INDENT = 2


def rich_table(sheet: Sheet) -> Group:
    """What a rich console prints. The seeds in a mean and those planned stand once a line, in the primary column; where
    a console is too narrow, the other metrics go without their intervals."""
    parts: list[RenderableType] = [Text(sheet.caption, style="bold")] if sheet.caption else []
    parts.append(_Body(sheet))
    if not sheet.groups:
        parts.append(Text("no entries", style="dim"))
    parts.append(Text(f"\n{sheet.legend}", style="dim"))
    parts += [_reason(row) for group in sheet.groups for row in group if row.reason]
    parts += [Text(line) for line in sheet.notes]
    parts += [Text(line, style="yellow") for line in sheet.left_out]
    return Group(*parts)


@dataclass(frozen=True)
class _Body:
    sheet: Sheet

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shape = _Shape(self.sheet, full=True)
        if shape.width > options.max_width:
            shape = _Shape(self.sheet, full=False)
        yield _heading(self.sheet, shape)
        for group in self.sheet.groups:
            yield _entry(group[0])
            yield _lines(group, self.sheet, shape)


class _Shape:
    """The widths of the columns: with all intervals and wide gaps (`full`), or without both."""

    def __init__(self, sheet: Sheet, full: bool) -> None:
        self.full, self.gap = full, 2 if full else 1
        rows = [row for group in sheet.groups for row in group]
        statuses = [line for row in rows for line in _status(row).split("\n")]
        self.widths = [
            max([len(MEAN_ROW), *(len(row.benchmark) for row in rows)]),
            *(
                max([*map(len, _title(sheet, i).split("\n")), *(len(self.cell(row, sheet, i)) for row in rows)])
                for i in range(len(sheet.plan.columns))
            ),
            max([len("status"), *map(len, statuses)]),
        ]
        self.width = _INDENT + sum(self.widths) + self.gap * (len(self.widths))

    def cell(self, row: Row, sheet: Sheet, index: int) -> str:
        column = sheet.plan.columns[index]
        mean = row.means.get(column.name)
        if column.primary or mean is None:
            return cell(row, column)
        return number(mean) if self.full else f"{mean.mean:.3f}"

    def grid(self) -> Table:
        grid = Table.grid(padding=(0, self.gap, 0, 0))
        grid.add_column(width=_INDENT)
        grid.add_column(width=self.widths[0], overflow="fold")
        for width in self.widths[1:-1]:
            grid.add_column(width=width, justify="right", no_wrap=True)
        grid.add_column(overflow="fold")
        return grid


def _title(sheet: Sheet, index: int) -> str:
    """A metric's heading on two lines where it has two words."""
    return "\n".join(heading(sheet.plan.columns[index]).split(" ", 1))


def _status(row: Row) -> str:
    return row.status.replace("; ", "\n")


def _heading(sheet: Sheet, shape: _Shape) -> Table:
    grid = shape.grid()
    titles = [Text(_title(sheet, i), style="bold") for i in range(len(sheet.plan.columns))]
    grid.add_row(Text(), Text(), *titles, Text("\nstatus", style="bold"))
    return grid


def _entry(row: Row) -> Text:
    rank = "–" if row.rank is None else str(row.rank)
    style = "dim" if row.n is None else ""
    return Text.assemble(
        "\n",
        (f"{rank:>2}", style),
        "  ",
        (clean(row.name, _NAME_LIMIT), f"{style} cyan".strip()),
        "  ",
        (row.type, "dim"),
    )


def _lines(group: list[Row], sheet: Sheet, shape: _Shape) -> Table:
    grid = shape.grid()
    for row in group:
        base = "dim" if row.n is None else ""
        cells = [
            Text(shape.cell(row, sheet, i), style="bold green" if column.name in row.best else base)
            for i, column in enumerate(sheet.plan.columns)
        ]
        status = Text(_status(row), style=base if row.status == "scored" else "red")
        grid.add_row(Text(), Text(row.benchmark, style="italic" if row.benchmark == MEAN_ROW else base), *cells, status)
    return grid


def _reason(row: Row) -> Text:
    what = Text.assemble((clean(row.name, 40), "cyan"), f", {row.benchmark}: ")
    return what.append(clean(row.status_and_reason, _REASON_LIMIT), style="red")
