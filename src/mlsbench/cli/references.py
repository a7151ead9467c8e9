"""More models of an entry, trained in the setting of its records, for an audit to use as references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from mlsbench import UserError
from mlsbench.cli.again import launch_again, record_key, stored_submission
from mlsbench.cli.launch import Launch
from mlsbench.cli.run import run_jobs
from mlsbench.harness.plan import Job, cpu_seconds, duration
from mlsbench.scoring import Stored, unlike_settings
from mlsbench.tasks import TaskFolder


class Place(NamedTuple):
    """Where references are trained: options of the command, for a record may not choose the walls of its submission."""

    device: str
    sandbox: str
    runtime: str | None
    parallel: int
    runs: Path


def reference_seeds(taken: Iterable[int], count: int) -> tuple[int, ...]:
    """The first `count` seeds, an even number of them, that are pairs 2k and 2k + 1 above the pairs of all `taken`."""
    first = (max(taken) | 1) + 1
    return tuple(range(first, first + count))


def train_references(
    task: TaskFolder, by_benchmark: Mapping[str, Sequence[Stored]], seeds: Sequence[int], key: str, place: Place
) -> None:
    """Run the jobs of `seeds` that are not finished, in the setting of an entry's jobs on each benchmark.

    Benchmarks with nothing scored are passed over: there is nothing to attack. Raises UserError if a setting cannot be
    had here, or the submission does not lie beside the records.
    """
    scored = [[one for one in stored if one.record.status == "scored"] for stored in by_benchmark.values()]
    plans = [_plan(task, stored, seeds, key, place) for stored in scored if stored]
    waiting = [job for _, jobs in plans for job in jobs if not job.finished()]
    on_cpu = [job for job in waiting if job.setting.device_kind == "cpu"]
    time = f", about {duration(cpu_seconds(on_cpu))} on this CPU" if on_cpu else ""
    which = ", ".join(map(str, seeds))
    typer.echo(f"references: seeds {which}; {len(waiting)} models are to be trained{time}", err=True)
    for launch, jobs in plans:
        run_jobs(launch, jobs)


def _plan(
    task: TaskFolder, stored: Sequence[Stored], seeds: Sequence[int], key: str, place: Place
) -> tuple[Launch, list[Job]]:
    first = min(stored, key=lambda one: one.record.setting.seed)
    path, record = first.path, first.record
    submission = stored_submission(path.parent, task)
    if submission.sha256 != record.entry.submission:
        raise UserError(f"{path.parent}: submission.py is not the file that the record is of; nothing can be trained")
    kind = record.setting.device_kind
    if place.device not in ("auto", kind):
        raise UserError(f"--device {place.device}: these records were made on {kind}, and references must be, too")
    launch = launch_again(
        task, record, seeds, record_key(record, key), place.sandbox, place.runtime, place.device, place.parallel,
        place.runs,
    )  # fmt: skip
    jobs = launch.plan([(record.entry, submission)])
    found = jobs[0].setting
    unlike = "; ".join(unlike_settings(record.setting, found))
    if found.group() != record.setting.group() or found.device_kind != kind or found.data != record.setting.data:
        raise UserError(f"{path.parent}: references cannot be trained in this setting here: {unlike or 'other data'}")
    if unlike:
        typer.echo(f"note: references of {found.benchmark} are trained with {unlike}", err=True)
    return launch, jobs
