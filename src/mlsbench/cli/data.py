"""Commands about datasets: data prepare, data status."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlsbench import UserError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mlsbench.tasks import Dataset

app = typer.Typer(
    help="Prepare datasets and show what is there.\n\nExample: mlsbench data status",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def prepare(
    names: Annotated[
        list[str] | None, typer.Argument(help="Datasets; all that tasks use and anybody can get if none is named.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder with the files, instead of a download; of a table the file.")
    ] = None,
) -> None:
    """Download datasets, or read them from a folder, and write them in the form that jobs read.

    The folder is one that torchvision filled, or for the MNISTs one of IDX files. PURCHASE-100 and TEXAS-100 cannot be
    downloaded: name your own .npz file. Prepared data go to the folder MLSBENCH_DATA, or the user's cache.

    Example: mlsbench data prepare fashion_mnist --from /usr/share/datasets/fashion-mnist
    """
    from rich.console import Console
    from rich.progress import Progress

    from mlsbench.harness.data import BUILT_IN, data_folder
    from mlsbench.harness.prepare import prepare

    known = _datasets()
    if source and source.is_file() and not names:
        raise UserError(f"--from {source}: name the dataset that this file is")
    wanted = names or [name for name in known if name not in BUILT_IN and not known[name].table]
    for name in wanted:
        if name not in known:
            raise UserError(f"there is no dataset {name!r}; choose from {', '.join(known)}")
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task(name)
            path = prepare(name, known[name], data_folder(), source, partial(_show, progress, bar))
        typer.echo(f"{name}: ready in {path}")


def _show(progress: Progress, bar: TaskID, step: str, done: int, total: int) -> None:
    progress.update(bar, description=step, completed=done, total=total)


@app.command()
def status() -> None:
    """Show which datasets are prepared, after checking their fingerprints.

    Example: mlsbench data status
    """
    from mlsbench.harness.data import data_folder
    from mlsbench.harness.prepare import status

    for state in status(_datasets(), data_folder()):
        where = f"  {state.path} ({state.size / 1e6:.0f} MB)" if state.size else ""
        remedy = f"  run: {state.remedy}" if state.state.startswith(("missing", "damaged")) else ""
        typer.echo(f"{state.name}: {state.state}{where}{remedy}")


def _datasets() -> dict[str, Dataset]:
    from mlsbench.tasks import sound_tasks

    sound, problems = sound_tasks()
    for problem in problems:
        typer.echo(f"warning: {problem}", err=True)
    return dict(sorted((name, dataset) for task in sound for name, dataset in task.spec.datasets.items()))
