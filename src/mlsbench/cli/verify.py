"""The command that runs a record's submission again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlsbench import UserError
from mlsbench.cli import options
from mlsbench.cli.run import INTERRUPTED

if TYPE_CHECKING:
    from mlsbench.cli.launch import Launch
    from mlsbench.harness.plan import Job
    from mlsbench.scoring import Record, Verification
    from mlsbench.tasks import Submission

DIFFERS, INFRASTRUCTURE = 1, 4
MOST_THREADS = 256


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(verify)


def verify(
    record: Annotated[Path, typer.Argument(exists=True, help="A record.json, or the folder that holds it.")],
    key: Annotated[
        str,
        typer.Option(metavar="FILE", help="The split key of the record, if that is not public: 32 bytes, mode 0600."),
    ] = "",
    sandbox: options.Sandbox = "auto",
    runtime: options.Runtime = None,
    device: options.Device = "auto",
    json_: options.Json = False,
) -> None:
    """Run a record's submission again, in the same setting, and compare.

    The models that an attack was run on are trained again, too. On the same kind of machine every bit must agree,
    elsewhere the metrics within a tolerance that is shown. Exit code 0: the same; 1: something differs. Nothing beside
    the record is changed.

    Example: mlsbench verify runs/TASK/smoke/mine-agent-0123456789ab/resnet20-digits/seed-42
    """
    from mlsbench.cli.again import launch_again, record_key, stored_submission
    from mlsbench.harness.data import load
    from mlsbench.harness.measure import Measure
    from mlsbench.harness.plan import FINISHED
    from mlsbench.scoring import read_run, unlike_settings
    from mlsbench.scoring import verify as compare
    from mlsbench.scoring.attacked import attack_kept
    from mlsbench.scoring.record import RECORD_FILE, TARGETS
    from mlsbench.scoring.trained import from_kept
    from mlsbench.tasks import get_task

    if record.is_file() and record.name != RECORD_FILE:
        raise UserError(f"{record}: name a {RECORD_FILE} or its folder: what was trained lies beside it")
    folder = record if record.is_dir() else record.parent
    if TARGETS in folder.absolute().parts[-3:]:
        raise UserError(f"{record} is of a model that attacks are run on; verify an attack, which trains it again")
    run = read_run(folder)
    stated = run.record
    if stated.status not in FINISHED:
        raise UserError(f"{record}: {stated.status} says nothing about the submission, so there is nothing to verify")
    task = get_task(stated.setting.task)
    submission = stored_submission(folder, task)
    if submission.sha256 != stated.entry.submission:
        fault = f"submission.py has SHA-256 {submission.sha256}, the record is of {stated.entry.submission}"
        _finish(record, stated, None, [fault], json_)
    with tempfile.TemporaryDirectory(prefix="mlsbench-verify-") as temporary:
        launch = launch_again(
            task, stated, [stated.setting.seed], record_key(stated, key), sandbox, runtime, device, 1, Path(temporary),
            recorded_threads(stated),
        )  # fmt: skip
        job = _job(launch, stated, submission)
        for line in unlike_settings(stated.setting, job.setting):
            typer.echo(f"note: {line}; bits cannot be expected to agree", err=True)
        try:
            (again,) = launch.run([job])
        except KeyboardInterrupt:
            typer.echo("interrupted: nothing is kept of the second run", err=True)
            raise typer.Exit(INTERRUPTED) from None
        if again.record.status == "infra_failed":
            typer.echo(f"error: the second run failed for this machine's reasons: {again.record.reason}", err=True)
            raise typer.Exit(INFRASTRUCTURE)
        dataset = job.spec.benchmarks[job.setting.benchmark].dataset
        data = load(dataset, job.spec.datasets[dataset], job.data, job.members, job.spec.parts)
        measure = Measure(job.measure, [metric.name for metric in job.spec.metrics])
        attack = job.spec.procedure == "attack"
        found = compare(
            run,
            read_run(again.path.parent),
            lambda kept: measure(attack_kept(kept) if attack else from_kept(kept, data.train_labels, data.test_labels)),
        )
    _finish(record, stated, found, found.faults, json_)


def _job(launch: Launch, record: Record, submission: Submission) -> Job:
    """The record's job. UserError if the installed task's data are others."""
    (job,) = launch.plan([(record.entry, submission)])
    if job.setting.data != record.setting.data:
        raise UserError(f"the record's data are not those of the installed task: {record.setting.data[:12]}…")
    return job


def recorded_threads(record: Record) -> int | None:
    """How many threads the record's job had, None if it does not say: another number of them gives other bits."""
    threads = record.environment.get("threads")
    return threads if isinstance(threads, int) and 0 < threads <= MOST_THREADS else None


def _finish(record: Path, stated: Record, found: Verification | None, faults: Sequence[str], as_json: bool) -> None:
    """Print what was found, and end the process."""
    if as_json:
        typer.echo(json.dumps(_document(record, found, faults), indent=2))
    else:
        typer.echo("\n".join(_lines(stated, found, faults)))
    raise typer.Exit(DIFFERS if faults else 0)


def _document(record: Path, found: Verification | None, faults: Sequence[str]) -> dict[str, object]:
    metrics = found.metrics if found else ()
    return {
        "record": str(record),
        "same": not faults,
        "expected": None if found is None else "tolerance" if found.unlike else "bits",
        "unlike": found.unlike if found else [],
        "metrics": {m.name: {"recorded": m.recorded, "again": m.again, "difference": m.difference} for m in metrics},
        "faults": list(faults),
        "notes": found.notes if found else [],
    }


def _lines(stated: Record, found: Verification | None, faults: Sequence[str]) -> list[str]:
    from mlsbench.scoring.text import clean
    from mlsbench.scoring.verification import TOLERANCE

    setting = stated.setting
    where = f"{setting.benchmark}, protocol {setting.protocol}, seed {setting.seed}"
    lines = [f"{clean(stated.entry.name, 60)} ({stated.entry.type}), {where}"]
    if found:
        width = max((len(metric.name) for metric in found.metrics), default=0)
        lines += [
            f"  {metric.name:<{width}}  {_number(metric.recorded)} in the record, {_number(metric.again)} now"
            for metric in found.metrics
        ]
        how = f"within {TOLERANCE}, for the machines are not of one kind" if found.unlike else "in every bit"
        lines.append(f"to agree {how}{':' if found.unlike else ''}")
        lines += [f"  {clean(line, 300)}" for line in found.unlike]
    lines.append("differs:" if faults else "the same")
    lines += [f"  {clean(line, 300)}" for line in faults]
    return [*lines, *(f"note: {line}" for line in (found.notes if found else ()))]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6f}"
