"""Scores, verdicts, records and tables: arrays and numbers in, numbers and text out; nothing here trains.

Names are loaded at first use, so that reading a record costs neither scipy nor rich.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlsbench.scoring.aggregation import BenchmarkResult, Column, EntryResult, Plan, aggregate, rejected_entry
    from mlsbench.scoring.comparison import Comparison, Difference, compare, comparison_lines
    from mlsbench.scoring.interval import Mean
    from mlsbench.scoring.layout import entry_folder, job_folder, slug
    from mlsbench.scoring.membership import accuracy, confidence, membership_auc, membership_metrics, privacy_score
    from mlsbench.scoring.record import (
        Entry,
        Record,
        Setting,
        Status,
        Stored,
        find_records,
        read_record,
        record_schema,
        write_record,
        write_whole,
    )
    from mlsbench.scoring.reproduction import Reproduction, reproduce
    from mlsbench.scoring.reproduction_text import markdown_reproduction, reproduction_document, rich_reproduction
    from mlsbench.scoring.rows import Published
    from mlsbench.scoring.selection import one_record_a_job, select
    from mlsbench.scoring.table import Format, render
    from mlsbench.scoring.text import clean
    from mlsbench.scoring.verdict import Verdict, judge
    from mlsbench.scoring.verification import Verification, read_run, unlike_settings, verify

__all__ = [
    "BenchmarkResult",
    "Column",
    "Comparison",
    "Difference",
    "Entry",
    "EntryResult",
    "Format",
    "Mean",
    "Plan",
    "Published",
    "Record",
    "Reproduction",
    "Setting",
    "Status",
    "Stored",
    "Verdict",
    "Verification",
    "accuracy",
    "aggregate",
    "clean",
    "compare",
    "comparison_lines",
    "confidence",
    "entry_folder",
    "find_records",
    "job_folder",
    "judge",
    "markdown_reproduction",
    "membership_auc",
    "membership_metrics",
    "one_record_a_job",
    "privacy_score",
    "read_record",
    "read_run",
    "record_schema",
    "rejected_entry",
    "render",
    "reproduce",
    "reproduction_document",
    "rich_reproduction",
    "select",
    "slug",
    "unlike_settings",
    "verify",
    "write_record",
    "write_whole",
]

_MODULES = {
    "aggregation": ("BenchmarkResult", "Column", "EntryResult", "Plan", "aggregate", "rejected_entry"),
    "comparison": ("Comparison", "Difference", "compare", "comparison_lines"),
    "interval": ("Mean",),
    "layout": ("entry_folder", "job_folder", "slug"),
    "membership": ("accuracy", "confidence", "membership_auc", "membership_metrics", "privacy_score"),
    "record": (
        "Entry",
        "Record",
        "Setting",
        "Status",
        "Stored",
        "find_records",
        "read_record",
        "record_schema",
        "write_record",
        "write_whole",
    ),
    "reproduction": ("Reproduction", "reproduce"),
    "reproduction_text": ("markdown_reproduction", "reproduction_document", "rich_reproduction"),
    "rows": ("Published",),
    "selection": ("one_record_a_job", "select"),
    "table": ("Format", "render"),
    "text": ("clean",),
    "verdict": ("Verdict", "judge"),
    "verification": ("Verification", "read_run", "unlike_settings", "verify"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
