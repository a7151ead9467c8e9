"""Finds tasks by name: those that ship here and those that installed packages offer."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from mlsbench import UserError
from mlsbench.tasks.loader import SPEC, TaskFolder, open_task

GROUP = "mlsbench.tasks"
_HERE = Path(__file__).parent


def list_tasks() -> dict[str, Path]:
    """The folders of all tasks by name, sorted; an entry point that does not lead to a folder is left out.

    Raises UserError if a name is taken twice.
    """
    folders = {}
    for name, sources in sorted(_sources().items()):
        source = _only(name, sources)
        try:
            folders[name] = _folder(source)
        except UserError:
            continue  # get_task reports it to whoever asks for this task
    return folders


def get_task(name: str) -> TaskFolder:
    """The task called `name`.

    Raises UserError if there is none (with names that come close), if several packages offer it, if its entry point
    is broken, if its specification is invalid, or if its id is another one.
    """
    sources = _sources()
    if name not in sources:
        close = difflib.get_close_matches(name, sources, n=3, cutoff=0.4) or sorted(sources)
        raise UserError(f"there is no task {name!r}; did you mean {' or '.join(close)}?")
    folder = _folder(_only(name, sources[name]))
    task = open_task(folder)
    if task.spec.id != name:
        raise UserError(f"{folder / SPEC}: id is {task.spec.id!r}, but the task is found as {name!r}; make them equal")
    return task


def sound_tasks() -> tuple[list[TaskFolder], list[str]]:
    """The tasks that load, by name, and a message for each that does not."""
    sound, problems = [], []
    for name in list_tasks():
        try:
            sound.append(get_task(name))
        except UserError as error:
            problems.append(str(error))
    return sound, problems


def baseline_path(task_id: str, name: str) -> Path:
    """Where the baseline `name` of a task lies; whether it exists is not looked at.

    That is the folder `baselines` in the task's own, but for tasks that ship here, whose baselines are a part of
    mlsbench of their own. Raises UserError for an unknown task.
    """
    if (_HERE / task_id / SPEC).is_file():
        return _HERE.parent / "baselines" / task_id.replace("-", "_") / f"{name}.py"
    return get_task(task_id).path / "baselines" / f"{name}.py"


def _sources() -> dict[str, list[Path | EntryPoint]]:
    """All that claims a task's name, without importing anything."""
    sources: dict[str, list[Path | EntryPoint]] = {}
    for spec in _HERE.glob(f"*/{SPEC}"):
        sources.setdefault(spec.parent.name, []).append(spec.parent)
    for entry in entry_points(group=GROUP):
        sources.setdefault(entry.name, []).append(entry)
    return sources


def _only(name: str, sources: list[Path | EntryPoint]) -> Path | EntryPoint:
    if len(sources) > 1:
        claims = ", ".join("mlsbench itself" if isinstance(s, Path) else _describe(s) for s in sources)
        raise UserError(f"the task {name!r} is offered {len(sources)} times: {claims}; uninstall all but one")
    return sources[0]


def _folder(source: Path | EntryPoint) -> Path:
    """The task folder that a source leads to."""
    if isinstance(source, Path):
        return source
    try:
        value = source.load()
        value = value() if callable(value) else value
    except (Exception, SystemExit) as error:  # a plugin's import may raise anything
        raise UserError(f"{_describe(source)} is broken: {type(error).__name__}: {error}") from error
    if not isinstance(value, str | Path):
        raise UserError(f"{_describe(source)} must give the path of a task folder, not a {type(value).__name__}")
    folder = Path(value)
    if not folder.is_absolute() or not (folder / SPEC).is_file():
        raise UserError(f"{_describe(source)}: {folder} must be an absolute path of a folder that holds {SPEC}")
    return folder


def _describe(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist else "an unknown package"
    return f"entry point {entry.name} = {entry.value} of {package}"
