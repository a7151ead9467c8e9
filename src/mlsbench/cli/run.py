"""Commands that train: run, baselines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlsbench import UserError
from mlsbench.cli import options

if TYPE_CHECKING:
    from mlsbench.cli.launch import Launch
    from mlsbench.cli.reproduction import ReportFile
    from mlsbench.harness.plan import Job
    from mlsbench.scoring import Entry, Stored
    from mlsbench.tasks import Submission

INTERRUPTED = 130


class EntryType(StrEnum):
    """Where a submission comes from."""

    baseline = "baseline"
    vanilla = "vanilla"
    agent = "agent"


def add(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(run)
    app.command()(baselines)


def run(
    task: options.Task,
    submission: options.Submission,
    protocol: options.Protocol = None,
    benchmark: options.Benchmarks = [],
    seed: options.Seeds = [],
    key: options.Key = "public",
    sandbox: options.Sandbox = "auto",
    runtime: options.Runtime = None,
    device: options.Device = "auto",
    deterministic: options.Deterministic = False,
    engine: options.Engine = options.EngineName.local,
    jobs: options.Jobs = 0,
    name: Annotated[str, typer.Option(help="The entry's name in tables; the file's if not given.")] = "",
    type_: Annotated[EntryType, typer.Option("--type", help="What the entry is.")] = EntryType.vanilla,
    runs: options.Runs = Path("runs"),
    override: options.Overrides = [],
    json_: options.Json = False,
) -> None:
    """Train the task's models with a submission's loss, attack them, and print the results.

    Finished jobs are not repeated: the same command again continues.

    Example: mlsbench run security-membership-inference-defense --submission my_loss.py --protocol smoke
    """
    from mlsbench.cli.launch import Launch
    from mlsbench.harness.launch import Options
    from mlsbench.tasks import get_task, read_submission

    folder = get_task(task)
    candidate = read_submission(submission, folder)
    launch = Launch(
        folder,
        Options(protocol, benchmark, seed, key, sandbox, runtime, device, deterministic, engine, jobs, runs, override),
    )
    _finish(launch, [(_entry(name or submission.resolve().stem, type_, candidate), candidate)], json_)


def baselines(
    task: options.Task,
    protocol: options.Protocol = None,
    benchmark: options.Benchmarks = [],
    seed: options.Seeds = [],
    key: options.Key = "public",
    sandbox: options.Sandbox = "auto",
    runtime: options.Runtime = None,
    device: options.Device = "auto",
    deterministic: options.Deterministic = False,
    engine: options.Engine = options.EngineName.local,
    jobs: options.Jobs = 0,
    only: Annotated[list[str], typer.Option(help="Only this baseline; repeatable.")] = [],
    runs: options.Runs = Path("runs"),
    override: options.Overrides = [],
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write measured beside published here, too, as Markdown.")
    ] = None,
    json_: options.Json = False,
) -> None:
    """Run the task's baselines and controls, and compare them with the published rows.

    Finished jobs are not repeated: the same command again continues.

    Example: mlsbench baselines security-membership-inference-defense --protocol smoke --only erm --only relaxloss
    """
    from mlsbench.cli.launch import Launch
    from mlsbench.cli.reproduction import ReportFile
    from mlsbench.harness.launch import Options
    from mlsbench.tasks import SubmissionRejected, baseline_path, get_task, read_submission
    from mlsbench.tasks.loader import SPEC

    folder = get_task(task)
    known = list(folder.spec.baselines)
    if unknown := [n for n in only if n not in known]:
        raise UserError(f"--only {unknown[0]}: the baselines are {', '.join(known)}")
    written = ReportFile(report) if report else None
    launch = Launch(
        folder,
        Options(protocol, benchmark, seed, key, sandbox, runtime, device, deterministic, engine, jobs, runs, override),
    )
    entries = []
    for baseline in dict.fromkeys(only or known):
        shared = folder.spec.baselines[baseline].submission
        try:
            candidate = read_submission(baseline_path(task, shared or baseline), folder)
        except SubmissionRejected as rejection:  # the task's own mistake, no submission's
            raise UserError(f"{folder.path / SPEC}: baselines.{baseline}: {rejection}") from None
        entries.append((_entry(baseline, EntryType.baseline, candidate), candidate))
    _finish(launch, entries, json_, compared=True, report=written)


def _entry(name: str, type_: EntryType, candidate: Submission) -> Entry:
    from pydantic import ValidationError

    from mlsbench.scoring import Entry

    try:
        return Entry(name=name, type=type_.value, submission=candidate.sha256)
    except ValidationError:
        raise UserError("--name: give a name of at least one printable character") from None


def run_jobs(launch: Launch, jobs: Sequence[Job]) -> list[Stored]:
    """The records of `jobs`; Ctrl-C ends the process with its exit code."""
    try:
        return launch.run(jobs)
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command continues with the jobs that are left", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _finish(
    launch: Launch,
    entries: Sequence[tuple[Entry, Submission]],
    as_json: bool,
    compared: bool = False,
    report: ReportFile | None = None,
) -> None:
    """Run the jobs of `entries` and print their table; the process ends with the exit code that they mean."""
    from rich.console import Console

    from mlsbench.cli.launch import exit_code
    from mlsbench.cli.reproduction import Findings
    from mlsbench.scoring import aggregate, render, select

    stored = run_jobs(launch, launch.plan(entries))
    chosen, left_out = select([s.record for s in stored], launch.variant.name)
    plan = launch.table_plan()
    results = aggregate(chosen, plan)
    findings = Findings(launch, chosen, left_out) if compared else None
    if as_json:
        table = json.loads(str(render(results, plan, "json", left_out=left_out)))
        documents = [{"path": str(s.path), **s.record.model_dump(mode="json")} for s in stored]
        document = {"caption": launch.caption(), "records": documents, "table": table}
        typer.echo(json.dumps(document | (findings.document() if findings else {}), indent=2))
    else:
        # A pipe has no width; a table that breaks its lines there helps nobody.
        out = Console() if Console().is_terminal else Console(width=120)
        out.print(render(results, plan, "rich", left_out=left_out, caption=launch.caption()))
        if findings:
            out.print()
            out.print(findings.rich())
        out.print(f"\nrecords: {launch.runs}", markup=False, highlight=False, soft_wrap=True)
    if report and findings:  # last: what cannot be written costs nobody the table
        report.write(findings.markdown())
    raise typer.Exit(exit_code(stored))
