"""Commands about the image of the Docker sandbox: image build, image check."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

INFRASTRUCTURE = 4

app = typer.Typer(
    help="Build and check the image that jobs under --sandbox docker run in.\n\nExample: mlsbench image build",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def build(
    base: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="Debian with Python and python3-venv, instead of Docker Hub's.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="The network for the build's downloads, such as host.")
    ] = None,
) -> None:
    """Build the image from the installed package, with the versions of torch and the rest that are installed here.

    The first build downloads several GB; after a change of the package's code another one takes seconds. The exit code
    is 4 if it fails.

    Example: mlsbench image build
    """
    from mlsbench.sandbox import image
    from mlsbench.sandbox.engine import connect

    with _failures():
        _show(image.build(connect(), base, network))
    typer.echo(f"{image.image_name()}: built")


@app.command()
def check() -> None:
    """Start a container of the image and compare the package in it with the installed one.

    The exit code is 0 if they agree and torch can be imported there, and 4 otherwise.

    Example: mlsbench image check
    """
    from mlsbench.sandbox import image
    from mlsbench.sandbox.engine import connect

    with _failures():
        torch = image.check(connect())
    typer.echo(f"{image.image_name()}: fine, torch {torch}")


@contextmanager
def _failures() -> Iterator[None]:
    from mlsbench.sandbox.channel import SandboxError
    from mlsbench.sandbox.image import BuildError

    try:
        yield
    except SandboxError as error:
        # Elsewhere than in a terminal every line stands there already.
        for line in error.output if isinstance(error, BuildError) and sys.stderr.isatty() else ():
            typer.echo(f"    {line}", err=True)
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(INFRASTRUCTURE) from None


def _show(lines: Iterator[str]) -> None:
    """A bar of steps with the latest line below in a terminal, every line elsewhere."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(12), TimeElapsedColumn(), TextColumn("{task.fields[news]}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("starting", total=None, news="")
        for line in lines:
            if not console.is_terminal:
                typer.echo(line, err=True)
            elif step := re.match(r"Step (\d+)/(\d+) : (.*)", line):
                done, total = int(step[1]), int(step[2])
                progress.update(bar, description=f"step {done}/{total}", completed=done - 1, total=total, news="")
            else:
                news = escape(line.strip()[: max(console.width - 40, 20)])
                progress.update(bar, news=news)
