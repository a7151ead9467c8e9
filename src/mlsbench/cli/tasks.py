"""Commands about tasks: list, show, schema, validate, new-task."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlsbench.cli import options


class Schema(StrEnum):
    """What has a JSON schema."""

    spec = "spec"
    record = "record"


def add(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("list")(list_)
    app.command()(show)
    app.command()(schema)
    app.command()(validate)
    app.command()(new_task)


def list_() -> None:
    """List the tasks that are installed.

    Example: mlsbench list
    """
    from mlsbench.tasks import sound_tasks

    sound, problems = sound_tasks()
    for folder in sound:
        typer.echo(f"{folder.spec.id}: {folder.spec.title}")
    for problem in problems:
        typer.echo(f"warning: {problem}", err=True)


def show(task: options.Task) -> None:
    """Show a task: its instruction, benchmarks, protocols and baselines.

    Example: mlsbench show security-membership-inference-defense
    """
    from mlsbench.tasks import get_task

    folder = get_task(task)
    spec = folder.spec
    typer.echo(folder.instruction().rstrip())
    typer.echo(f"\n## The template, {spec.contract.file}\n\n{folder.template().rstrip()}")
    typer.echo(f"\nSpecification: {folder.path}")
    for name, protocol in spec.protocols.items():
        mark = " (default)" if name == spec.default_protocol else ""
        canaries = f"; {protocol.canaries} canaries" if protocol.canaries else ""
        seeds = ", ".join(map(str, protocol.seeds))
        known = f"; references {', '.join(map(str, protocol.references))}" if protocol.references else ""
        typer.echo(f"\nprotocol {name}{mark}: {protocol.title}; seeds {seeds}{known}{canaries}")
        for benchmark in protocol.benchmarks:
            values = spec.training(name, benchmark).model_dump(exclude_defaults=True)
            typer.echo(f"  {benchmark}: " + ", ".join(f"{k} {v}" for k, v in values.items()))
    typer.echo("")
    for name, baseline in spec.baselines.items():
        typer.echo(f"baseline {name}: {baseline.title}")


def schema(what: Schema) -> None:
    """Print the JSON schema of a task's specification or of a record.

    Example: mlsbench schema record
    """
    from mlsbench.scoring.record import record_schema
    from mlsbench.tasks import spec_schema

    typer.echo(json.dumps(spec_schema() if what is Schema.spec else record_schema(), indent=2))


def validate(
    task: options.Task,
    submission: options.Submission,
    protocol: options.Protocol = None,
    sandbox: options.Sandbox = "auto",
    runtime: options.Runtime = None,
) -> None:
    """Check a submission against the task's contract, without training: the file, then a few calls in the sandbox.

    Example: mlsbench validate security-membership-inference-defense --submission my_loss.py
    """
    from mlsbench.harness.variant import variant
    from mlsbench.scoring.text import clean
    from mlsbench.tasks import get_task, read_submission

    folder = get_task(task)
    chosen = variant(folder.spec, protocol)
    candidate = read_submission(submission, folder)

    from mlsbench.harness.check import check

    tried = check(folder.spec, candidate, chosen, sandbox, runtime)
    if tried.note:
        typer.echo(f"note: {tried.note}", err=True)
    typer.echo(f"accepted: {clean(str(submission), 200)} keeps the contract of {task} (tried in sandbox {tried.name})")


def new_task(
    name: Annotated[str, typer.Argument(help="The new task's name: small letters, digits, - and _.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where to write it; a folder of its name if not given.")
    ] = None,
) -> None:
    """Write the package of a task of your own: small, whole, and ready to install. Nothing is ever overwritten.

    Example: mlsbench new-task calibration
    """
    from mlsbench.tasks import write_package

    target = folder or Path(name)
    for path in write_package(name, target):
        typer.echo(str(path))
    typer.echo(f"\nNext: pip install -e {target}; mlsbench show {name}", err=True)
