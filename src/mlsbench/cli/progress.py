"""Progress of jobs on standard error: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mlsbench.harness.engine import Event
from mlsbench.harness.plan import Job


class JobProgress:
    """A listener of an engine and the display of what it hears; a context manager."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._console = Console(stderr=True)
        self._total, self._ended = len(jobs), 0
        self._several = len({job.entry.name for job in jobs}) > 1
        self._lock = threading.Lock()
        self._bars: dict[Path, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(12), TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(), TimeRemainingColumn(), console=self._console, transient=True,
            disable=not self._console.is_terminal,
        )  # fmt: skip

    def __enter__(self) -> JobProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show `event`."""
        with self._lock:
            {"start": self._start, "epoch": self._epoch, "end": self._end}.get(event.kind, self._trouble)(event)

    def _start(self, event: Event) -> None:
        if event.job.folder not in self._bars:
            bar = self._progress.add_task(
                escape(self._label(event.job)), total=event.job.training.epochs, news="starting"
            )
            self._bars[event.job.folder] = bar

    def _epoch(self, event: Event) -> None:
        epoch, epochs, accuracy = event.data["epoch"], event.data["epochs"], event.data["test_acc"]
        # A terminal of 80 columns has room for no more.
        short = f"{epoch}/{epochs}, acc {accuracy:.3f}"
        self._progress.update(self._bars[event.job.folder], completed=epoch, news=short)
        if not self._console.is_terminal:
            left = event.data["left_seconds"]
            news = f"epoch {epoch}/{epochs}, test accuracy {accuracy:.3f}"
            self._say(f"{self._label(event.job)}: {news}" + (f", {left:.0f} s left" if epoch < epochs else ""))

    def _end(self, event: Event) -> None:
        assert event.record is not None
        self._ended += 1
        if event.job.folder in self._bars:
            self._progress.remove_task(self._bars.pop(event.job.folder))
        score = event.record.metrics.get(event.job.spec.primary.name)
        result = (
            event.record.status
            if score is None
            else f"{event.record.status}, {event.job.spec.primary.title} {score:.3f}"
        )
        seconds = event.record.timing.get("total")
        took = "" if seconds is None else f" in {seconds:.0f} s"
        self._say(f"[{self._ended}/{self._total}] {self._label(event.job)}: {result}{took}")
        if event.record.reason:
            self._say(f"    {event.record.reason}")

    def _trouble(self, event: Event) -> None:
        self._say(f"{self._label(event.job)}: {event.kind}: {event.data['reason']}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _label(self, job: Job) -> str:
        return f"{job.entry.name}: {job.label}" if self._several else job.label
