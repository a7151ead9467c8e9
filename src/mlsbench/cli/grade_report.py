"""The report of a grading: every line of the list, and a table for each task."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Group

from mlsbench.cli.launch import Launch
from mlsbench.cli.submission_list import Listed
from mlsbench.scoring import EntryResult, Format, Stored, aggregate, rejected_entry, render, select, write_whole
from mlsbench.scoring.aggregation import EntryKey
from mlsbench.scoring.rows import number
from mlsbench.scoring.table_text import escape_markdown, markdown_line
from mlsbench.scoring.text import clean


@dataclass(frozen=True)
class TaskGrades:
    """What a task's lines came to."""

    launch: Launch
    listed: Sequence[Listed]
    stored: Sequence[Stored]
    results: Sequence[EntryResult]
    left_out: Sequence[str]

    def table(self, format_: Format) -> str | Group:
        """The table in one of `render`'s formats."""
        caption, plan = self.launch.caption(), self.launch.table_plan()
        return render(self.results, plan, format_, left_out=self.left_out, caption=caption)

    def result(self, line: Listed) -> EntryResult | None:
        """The entry of a line; None if it is in no table, as one that ran in process."""
        return next((result for result in self.results if result.key == _key(line)), None)


def grades(launch: Launch, listed: Sequence[Listed], stored: Sequence[Stored]) -> TaskGrades:
    """What the `listed` lines of one task came to; a file that is no submission is an entry of rejected seeds."""
    plan = launch.table_plan()
    records, left_out = select([s.record for s in stored], launch.variant.name)
    rejected = [rejected_entry(_key(line), line.reason, plan) for line in listed if not line.entry and not line.repeats]
    return TaskGrades(launch, listed, stored, [*aggregate(records, plan), *rejected], left_out)


def write_report(folder: Path, path: Path, tasks: Sequence[TaskGrades]) -> tuple[dict[str, Any], list[Path]]:
    """Write report-<time>.json and .md to `folder`; the JSON document and the two files. Nothing is overwritten."""
    now = datetime.now(UTC)
    stem = base = f"report-{now:%Y%m%dT%H%M%SZ}"
    count = 1
    while any((folder / f"{stem}{suffix}").exists() for suffix in (".json", ".md")):
        count += 1
        stem = f"{base}-{count}"
    document = {
        "created": now.isoformat(timespec="seconds"),
        "command": shlex.join(["mlsbench", *sys.argv[1:]]),
        "list": str(path),
        "lines": sorted((_line(line, t) for t in tasks for line in t.listed), key=lambda line: line["line"]),
        "tables": [json.loads(str(t.table("json"))) for t in tasks],
    }
    files = [folder / f"{stem}{suffix}" for suffix in (".json", ".md")]
    texts = (json.dumps(document, indent=2) + "\n", _markdown(document, tasks))
    for file, text in zip(files, texts, strict=True):
        write_whole(file, text.encode())
    return document, files


def _key(line: Listed) -> EntryKey:
    return EntryKey(line.name, line.type, line.entry.submission if line.entry else "")


def _line(line: Listed, grades: TaskGrades) -> dict[str, Any]:
    result = grades.result(line)
    benchmarks = result.benchmarks if result else ()
    troubles = [trouble for b in benchmarks for trouble in b.troubles]
    jobs = Counter(trouble.status for trouble in troubles)
    jobs["scored"] = sum(b.planned for b in benchmarks) - len(troubles)
    records = [str(s.path) for s in grades.stored if s.record.entry == line.entry]
    return {
        "line": line.line,
        "task": grades.launch.task.spec.id,
        "submission": line.path,
        "name": line.name,
        "type": line.type,
        "sha256": line.entry.submission if line.entry else None,
        "repeats": line.repeats,
        "rank": result.rank if result else None,
        "score": result.score.mean if result and result.score else None,
        "half_width": result.score.half_width if result and result.score else None,
        "jobs": {status: count for status, count in jobs.items() if count},
        "reason": line.reason or next((t.reason for t in troubles if t.reason), ""),
        "records": records,
    }


def _markdown(document: dict[str, Any], tasks: Sequence[TaskGrades]) -> str:
    parts = [f"# Grades of {escape_markdown(clean(document['list'], 200))}", "", f"{document['created']}, made by", ""]
    parts += ["```", document["command"], "```", ""]
    for task in tasks:
        parts += [str(task.table("md")), ""]
    head = ("line", "submission", "name", "type", "score", "jobs")
    parts += ["## The list", "", markdown_line(head), markdown_line(["--:", ":--", ":--", ":--", "--:", ":--"])]
    by_line = {line.line: (line, task) for task in tasks for line in task.listed}
    for row in document["lines"]:
        line, task = by_line[row["line"]]
        result = task.result(line)
        score = number(result.score) if result and result.score else "–"
        happened = ", ".join(f"{count} {status}" for status, count in row["jobs"].items())
        if row["reason"]:
            happened += f" ({row['reason'].removeprefix('rejected: ').removeprefix('collapsed: ')})"
        if line.repeats:
            happened = f"repeats line {line.repeats}, graded once"
        cells = (str(line.line), clean(line.path, 100), clean(line.name, 50), line.type, score, clean(happened, 200))
        parts.append(markdown_line([escape_markdown(cell) for cell in cells]))
    return "\n".join(parts) + "\n"
