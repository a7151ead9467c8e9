"""The results table in five formats; names and reasons are data in each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from rich.console import Group

from mlsbench import UserError
from mlsbench.scoring.aggregation import EntryResult, Plan
from mlsbench.scoring.rows import Published, Sheet, entry_groups
from mlsbench.scoring.table_data import csv_table, json_table
from mlsbench.scoring.table_rich import rich_table
from mlsbench.scoring.table_text import latex_table, markdown_table
from mlsbench.scoring.text import clean

Format = Literal["rich", "md", "csv", "latex", "json"]

_FORMATS: dict[str, Callable[[Sheet], str | Group]] = {
    "rich": rich_table,
    "md": markdown_table,
    "csv": csv_table,
    "latex": latex_table,
    "json": json_table,
}


def render(
    results: Sequence[EntryResult],
    plan: Plan,
    format: Format,
    *,
    published: Iterable[Published] = (),
    left_out: Iterable[str] = (),
    notes: Iterable[str] = (),
    caption: str = "",
) -> str | Group:
    """The table of `results`, the entries from `aggregate`: a text, or for "rich" what a rich console prints.

    Each entry has a line a benchmark and a line "mean" with its score. The best value of a benchmark and metric is
    marked (rich and md bold, latex textbf, csv and json a field `best`) among lines with every seed scored, if there
    are two or more. `published` lines are shown and never marked. `notes` are lines about the rows, `left_out` those
    of `select`; csv has no place for them nor for the caption. UserError for an unknown format.
    """
    if format not in _FORMATS:
        raise UserError(f"there is no table format {format!r}; use one of {', '.join(_FORMATS)}")
    groups = entry_groups(results, plan, published)
    lines = [tuple(clean(line, 300) for line in some) for some in (left_out, notes)]
    sheet = Sheet(plan, groups, clean(caption, 300), *lines)
    return _FORMATS[format](sheet)
