"""The command that grades many submissions."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from mlsbench import UserError
from mlsbench.cli import options

REJECTED, INFRASTRUCTURE = 3, 4


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(grade)


def grade(
    submission: Annotated[
        Path, typer.Option(metavar="LIST.jsonl", help="A JSON object a line: task, submission, name, type.")
    ],
    output_dir: Annotated[Path, typer.Option(metavar="DIR", help="Where the report goes.")],
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
    runs: Annotated[Path | None, typer.Option(help="Where records are kept; DIR/runs if not given.")] = None,
    override: options.Overrides = [],
    json_: options.Json = False,
) -> None:
    """Grade a list of submissions as one plan, and write one report with the time in its name.

    Paths in the list are relative to its folder. Every line is checked before anything runs. A file that is no
    submission is a rejected row and stops no other. Finished jobs are not repeated: the same command again continues.

    Example: mlsbench grade --submission list.jsonl --output-dir grades --protocol smoke
    """
    from rich.console import Console

    from mlsbench.cli.grade_report import grades, write_report
    from mlsbench.cli.launch import Launch, exit_code
    from mlsbench.cli.run import run_jobs
    from mlsbench.cli.submission_list import read_list
    from mlsbench.harness.launch import Options

    listed = read_list(submission)
    _make_folder(output_dir)
    chosen = Options(
        protocol=protocol, benchmarks=benchmark, seeds=seed, key=key, sandbox=sandbox, runtime=runtime, device=device,
        deterministic=deterministic, engine=engine, jobs=jobs, runs=runs or output_dir / "runs", overrides=override,
    )  # fmt: skip
    folders = {line.task.spec.id: line.task for line in listed}
    launches = {name: Launch(folder, chosen) for name, folder in folders.items()}
    planned = {}
    for name, launch in launches.items():
        own = [line for line in listed if line.task.spec.id == name and not line.repeats]
        planned[name] = launch.plan((line.entry, line.submission) for line in own if line.entry and line.submission)
    everything = [job for of_task in planned.values() for job in of_task]
    stored = run_jobs(next(iter(launches.values())), everything)
    ended = iter(stored)
    tasks = [
        grades(launches[name], [line for line in listed if line.task.spec.id == name], [next(ended) for _ in of_task])
        for name, of_task in planned.items()
    ]
    document, files = write_report(output_dir, submission, tasks)
    if json_:
        typer.echo(json.dumps(document, indent=2))
    else:
        console = Console() if Console().is_terminal else Console(width=120)
        for task in tasks:
            console.print(task.table("rich"))
        for file in files:
            typer.echo(f"report: {file}")
    code = exit_code(stored)
    rejected = any(line.entry is None for line in listed)
    raise typer.Exit(REJECTED if rejected and code != INFRASTRUCTURE else code)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output-dir {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"--output-dir {folder}: cannot be written")
