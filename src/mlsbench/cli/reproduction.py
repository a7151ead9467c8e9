"""What `baselines` says about the published table: on the terminal, as JSON and as a document made from records."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group

from mlsbench import UserError, __version__
from mlsbench.cli.launch import Launch
from mlsbench.scoring import (
    Record,
    markdown_reproduction,
    reproduce,
    reproduction_document,
    rich_reproduction,
    write_whole,
)
from mlsbench.scoring.table_text import escape_markdown
from mlsbench.scoring.text import clean


def comparable(protocol: str, published: str) -> bool:
    """Whether numbers under `protocol` stand beside those `published`, which state no precision."""
    name, *overrides = protocol.split("+")
    return name == published and all(override.startswith("precision=") for override in overrides)


class Findings:
    """Measured beside published for the `records` of a command's table."""

    def __init__(self, launch: Launch, records: Sequence[Record], left_out: Sequence[str]) -> None:
        self._launch, self._records, self._left_out = launch, records, left_out
        spec, published = launch.task.spec, launch.task.published()
        self._note = ""
        if published and not comparable(launch.variant.name, spec.default_protocol):
            self._note = (
                f"The published rows belong to protocol {spec.default_protocol}: under {launch.variant.name} there is "
                "nothing to compare with, and measured values stand alone."
            )
            published = []
        self._reproduction = reproduce(records, published, launch.table_plan())

    def rich(self) -> Group | str:
        """What a rich console prints: only the note if there is nothing to compare with."""
        return self._note or rich_reproduction(self._reproduction)

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {"reproduction": reproduction_document(self._reproduction), "note": self._note}

    def markdown(self) -> str:
        """The document: it depends on the records and the command alone, so that making it again changes nothing."""
        spec = self._launch.task.spec
        unsound = [r for r in self._records if r.status != "scored"]
        ended = [
            f"{r.entry.name}, {r.setting.benchmark}, seed {r.setting.seed}: {r.reason or r.status}" for r in unsound
        ]
        notes = [f"- {escape_markdown(line)}" for line in (*ended, *self._left_out)]
        return "\n".join([
            f"# Reproduction: {escape_markdown(spec.title)}", "",
            "Made from records by the command below, never typed.", "",
            "```", shlex.join(["mlsbench", *sys.argv[1:]]), "```", "",
            *(f"- {escape_markdown(line)}" for line in self._circumstances()), "",
            *([escape_markdown(self._note), ""] if self._note else []),
            markdown_reproduction(self._reproduction),
            *notes, *([""] if notes else []),
        ]).rstrip("\n") + "\n"  # fmt: skip

    def _circumstances(self) -> list[str]:
        def each(values: Iterable[object]) -> str:
            return ", ".join(clean(text, 100) for text in sorted({str(v) for v in values})) or "none"

        records, settings = self._records, [r.setting for r in self._records]
        lines = [
            self._launch.caption(),
            f"device: {each(_device(r) for r in records)}; precision: {each(s.precision for s in settings)}; "
            f"sandbox: {each(s.sandbox for s in settings)}",
            f"versions: mlsbench {__version__}, task {each(s.task_version for s in settings)}, "
            f"code {each(s.frozen[:12] for s in settings)}, torch {each(s.torch for s in settings)}, "
            f"Python {each(r.environment.get('python') for r in records)}",
        ]
        if records:
            days = [r.created.date() for r in records]
            when = f"date: {min(days)}" if min(days) == max(days) else f"dates: {min(days)} to {max(days)}"
            lines.append(f"{when}; {len(records)} {'job' if len(records) == 1 else 'jobs'}")
        return lines


class ReportFile:
    """Where a document will be written. Raises UserError at once if that cannot be, rather than after hours of jobs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise UserError(f"--report {path}: name a file in a folder that is there and can be written")

    def write(self, text: str) -> None:
        """Write `text`, whole or not at all. Raises UserError."""
        try:
            write_whole(self._path, text.encode())
        except OSError as error:
            raise UserError(
                f"--report {self._path}: {error.strerror}; the jobs are done, and the same command with another file "
                f"writes it"
            ) from error


def _device(record: Record) -> str:
    kind, name = record.setting.device_kind, record.environment.get("device")
    threads = record.environment.get("threads")
    words = [kind, *([f"({name})"] if name else [])]
    if kind == "cpu" and threads:
        words.append(f"{threads} {'thread' if threads == 1 else 'threads'}")
    return " ".join(words)
