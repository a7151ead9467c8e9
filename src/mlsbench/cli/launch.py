"""A command's launch: notes and progress on standard error, captions, exit codes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import typer

from mlsbench.cli.progress import JobProgress
from mlsbench.harness import launch
from mlsbench.harness.plan import Job
from mlsbench.harness.split import PUBLIC, read_key
from mlsbench.scoring import Stored
from mlsbench.tasks import TaskFolder

INFRASTRUCTURE = 4


class Launch(launch.Launch):
    """A launch that says on standard error what it does."""

    def __init__(self, task: TaskFolder, options: launch.Options) -> None:
        super().__init__(task, options)
        if self.note:
            typer.echo(f"note: {self.note}", err=True)

    def listening(self, waiting: Sequence[Job], planned: int) -> JobProgress:
        """The display of the `waiting` jobs."""
        if len(waiting) < planned:
            typer.echo(f"{planned - len(waiting)} of {planned} jobs are finished already", err=True)
        return JobProgress(waiting)

    def caption(self) -> str:
        """A line that says under which protocol and key the table's numbers were made."""
        return table_caption(self.task.spec.id, self.variant.name, self.key.digest, self.seeds)


def table_caption(task: str, protocol: str, split_key: str | None, seeds: Sequence[int]) -> str:
    """A line that says under which protocol and split key (its digest; None without records) numbers were made."""
    names = {None: "", read_key(PUBLIC).digest: f", split key {PUBLIC}"}
    key = names.get(split_key, f", split key {str(split_key)[:12]}…")
    return f"{task}, protocol {protocol}{key}, seeds {', '.join(map(str, seeds))}"


def exit_code(stored: Iterable[Stored]) -> int:
    """0 if every job is scored; 4 if one failed for our reasons, else 3 if one was rejected, else 1."""
    statuses = {s.record.status for s in stored}
    for code, ended in ((INFRASTRUCTURE, "infra_failed"), (3, "rejected")):
        if ended in statuses:
            return code
    return 1 if statuses - {"scored"} else 0
