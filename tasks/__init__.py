"""Tasks: what is to be written, how it is trained and judged, and what counts as a submission."""

from __future__ import annotations

from mlsbench.tasks.loader import PublishedRow, TaskFolder, load_task, open_task, spec_schema
from mlsbench.tasks.registry import baseline_path, get_task, list_tasks
from mlsbench.tasks.spec import (
    Array,
    Baseline,
    Benchmark,
    Contract,
    Dataset,
    Limits,
    Method,
    Metric,
    Precision,
    Protocol,
    Task,
    Training,
    Validity,
)
from mlsbench.tasks.submission import Submission, SubmissionRejected, author_lines, read_submission

__all__ = [
    "Array",
    "Baseline",
    "Benchmark",
    "Contract",
    "Dataset",
    "Limits",
    "Method",
    "Metric",
    "Precision",
    "Protocol",
    "PublishedRow",
    "Submission",
    "SubmissionRejected",
    "Task",
    "TaskFolder",
    "Training",
    "Validity",
    "author_lines",
    "baseline_path",
    "get_task",
    "list_tasks",
    "load_task",
    "open_task",
    "read_submission",
    "spec_schema",
]
