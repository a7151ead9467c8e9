"""Tasks: what is to be written, how it is trained and judged, and what counts as a submission."""

from __future__ import annotations

from mlsbench.tasks.array import Array, Method
from mlsbench.tasks.loader import PublishedRow, TaskFolder, load_task, open_task, spec_schema
from mlsbench.tasks.new import write_package
from mlsbench.tasks.registry import baseline_path, get_task, list_tasks, sound_tasks
from mlsbench.tasks.spec import (
    Baseline,
    Benchmark,
    Contract,
    Dataset,
    Limits,
    Metric,
    Precision,
    Protocol,
    Target,
    Task,
    Training,
    Validity,
)
from mlsbench.tasks.submission import (
    MAX_BYTES,
    Submission,
    SubmissionRejected,
    author_lines,
    parse_submission,
    read_submission,
)
from mlsbench.tasks.target import TargetTask, target_of

__all__ = [
    "MAX_BYTES",
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
    "Target",
    "TargetTask",
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
    "parse_submission",
    "read_submission",
    "sound_tasks",
    "spec_schema",
    "target_of",
    "write_package",
]
