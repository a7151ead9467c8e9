"""The results table for programs: CSV and JSON with the numbers as they are."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from mlsbench.scoring.interval import Mean
from mlsbench.scoring.rows import Row, Sheet

# A cell that begins so is a formula to some spreadsheet; the last four are the full-width forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def csv_table(sheet: Sheet) -> str:
    """One line a row; each metric has its mean and half width, `n` and `planned` count seeds, `best` names metrics.

    Texts that a spreadsheet would take for a formula begin with an apostrophe.
    """
    metrics = [column.name for column in sheet.plan.columns]
    columns = [part for metric in metrics for part in (f"{metric}_mean", f"{metric}_half_width")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ["rank", "name", "type", "submission", "benchmark"]
    writer.writerow([*head, *columns, "n", "planned", "over", "best", "status", "reason"])
    for row in (row for group in sheet.groups for row in group):
        numbers: list[float | None] = []
        for metric in metrics:
            mean = row.means.get(metric)
            numbers += [mean.mean, mean.half_width] if mean else [None, None]
        texts = [_cell(text) for text in (row.name, row.type, row.submission, row.benchmark)]
        best = _cell(" ".join(_best(row, sheet)))
        writer.writerow(
            [row.rank, *texts, *numbers, row.n, row.planned, row.over, best, _cell(row.status), _cell(row.reason)]
        )
    return out.getvalue()


def json_table(sheet: Sheet) -> str:
    """One object; the metrics of each of its `rows` are objects of mean, half_width, n and planned."""
    plan = sheet.plan
    document = {
        "caption": sheet.caption,
        "benchmarks": plan.benchmarks,
        "seeds": plan.seeds,
        "columns": [
            {"name": c.name, "title": c.title, "direction": c.direction, "primary": c.primary} for c in plan.columns
        ],
        "rows": [_object(row, sheet) for group in sheet.groups for row in group],
        "notes": sheet.notes,
        "left_out": sheet.left_out,
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _best(row: Row, sheet: Sheet) -> list[str]:
    return [column.name for column in sheet.plan.columns if column.name in row.best]


def _object(row: Row, sheet: Sheet) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "name": row.name,
        "type": row.type,
        "submission": row.submission or None,
        "benchmark": row.benchmark,
        "metrics": {metric: _mean(mean, row) for metric, mean in row.means.items()},
        "n": row.n,
        "planned": row.planned,
        "over": row.over,
        "best": _best(row, sheet),
        "status": row.status,
        "reason": row.reason,
    }


def _mean(mean: Mean | None, row: Row) -> dict[str, float | None] | None:
    if mean is None:
        return None
    return {"mean": mean.mean, "half_width": mean.half_width, "n": row.n, "planned": row.planned}
