"""The command that removes what a crash left behind."""

from __future__ import annotations

from pathlib import Path

import typer

from mlsbench.cli import options


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(clean)


def clean(runs: options.Runs = Path("runs")) -> None:
    """Remove what killed commands left: containers, temporary folders, and half-written files among the records.

    Records, logs and whatever a running command uses stay. Runs do this for their containers by themselves.

    Example: mlsbench clean
    """
    from mlsbench.harness.claim import remove_unfinished
    from mlsbench.harness.cluster import sweep
    from mlsbench.sandbox.channel import SandboxError
    from mlsbench.sandbox.container import sweep_folders
    from mlsbench.sandbox.docker import Docker

    typer.echo(f"half-written files removed: {remove_unfinished(runs)}")
    clusters = sweep()
    if clusters:
        typer.echo(f"folders of Ray clusters removed: {clusters}")
    try:
        left = Docker().sweep()
    except SandboxError as error:
        typer.echo(f"folders removed: {sweep_folders()}; containers were not looked for: {error}")
        return
    typer.echo(f"containers and folders removed: {left.removed}; in use: {left.used}")
    if left.stuck:
        typer.echo(f"containers that Docker could not remove: {left.stuck}; see `docker ps --all` and the engine's log")
    if left.unknown:
        typer.echo(
            f"containers of other users, or of commands that cannot be seen from here: {left.unknown}. "
            "If nobody misses them: docker rm --force $(docker ps --all --quiet --filter label=mlsbench.owner)"
        )
