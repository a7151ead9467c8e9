"""Progress of a plan on standard error: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from mlsbench.cli.forecast import Forecast
from mlsbench.harness.engine import Event
from mlsbench.harness.plan import Job, duration

TRAINED = ("scored", "collapsed")


class JobProgress:
    """A listener of an engine and the display of what it hears; a context manager.

    It shows how many jobs are done, which runs on which device, and how long the plan will still take.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._console = Console(stderr=True)
        self._total, self._ended = len(jobs), 0
        self._several = len({job.entry for job in jobs}) > 1
        self._forecast = Forecast(jobs)
        self._lock = threading.Lock()
        self._bars: dict[Path, TaskID] = {}
        texts = [TextColumn(f"{{task.{of}}}") for of in ("description", "fields[news]", "fields[left]")]
        # A terminal of 80 columns has no room for a bar beside an entry, a benchmark and a device.
        bar = [BarColumn(12)] if self._console.width >= 100 else []
        self._progress = Progress(
            texts[0], *bar, *texts[1:], console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._plan = self._progress.add_task("all jobs", total=self._total, news=f"0/{self._total}", left="")

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
            news = f"{self._ended}/{self._total} done"
            self._progress.update(self._plan, completed=self._ended, news=news, left=self._left())

    def _start(self, event: Event) -> None:
        self._forecast.start(event.job)
        job, label = event.job, self._label(event.job)
        name, epochs = escape(f"{job.device} {label}"), job.training.epochs
        if job.folder not in self._bars:
            self._bars[job.folder] = self._progress.add_task(name, total=epochs, news="", left="")
        self._progress.update(self._bars[job.folder], description=name, completed=0, news="starting", left="")
        if self._total > 1 and not self._console.is_terminal:
            self._say(f"{label}: starts on {job.device}")

    def _epoch(self, event: Event) -> None:
        epoch, epochs, accuracy = event.data["epoch"], event.data["epochs"], event.data["test_acc"]
        self._forecast.epoch(event.job, event.data["left_seconds"])
        left = duration(event.data["left_seconds"])
        short = f"{epoch}/{epochs}, acc {accuracy:.2f}"
        self._progress.update(self._bars[event.job.folder], completed=epoch, news=short, left=left)
        if not self._console.is_terminal:
            news = f"epoch {epoch}/{epochs}, test accuracy {accuracy:.3f}"
            self._say(f"{self._label(event.job)}: {news}" + (f", {left} left" if epoch < epochs else ""))

    def _end(self, event: Event) -> None:
        assert event.record is not None
        self._ended += 1
        self._forecast.end(event.job, event.record.status in TRAINED)
        if event.job.folder in self._bars:
            self._progress.remove_task(self._bars.pop(event.job.folder))
        score = event.record.metrics.get(event.job.spec.primary.name)
        result = (
            event.record.status
            if score is None
            else f"{event.record.status}, {event.job.spec.primary.title} {score:.3f}"
        )
        seconds = event.record.timing.get("total")
        took = "" if seconds is None else f" in {duration(seconds)} on {event.job.device}"
        left = f"; {self._left()}" if self._ended < self._total and self._left() else ""
        self._say(f"[{self._ended}/{self._total}] {self._label(event.job)}: {result}{took}{left}")
        if event.record.reason:
            self._say(f"    {event.record.reason}")

    def _trouble(self, event: Event) -> None:
        self._say(f"{self._label(event.job)}: {event.kind}: {event.data['reason']}")

    def _left(self) -> str:
        seconds = self._forecast.left()
        return "" if seconds is None else f"~{duration(seconds)} left"

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _label(self, job: Job) -> str:
        return f"{job.entry.name}: {job.label}" if self._several else job.label
