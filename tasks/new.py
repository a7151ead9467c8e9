"""Writes the package of a new task: a copy of the folder `new-task` beside this file, under the new task's name."""

from __future__ import annotations

import keyword
import re
from importlib.util import find_spec
from pathlib import Path

from mlsbench import UserError
from mlsbench.tasks.registry import list_tasks

TEMPLATE = Path(__file__).parent / "new-task"
NAME, PACKAGE = "example-task", "example_task"  # as they stand in the template, names of files included
_LONGEST = 64
_TAKEN = ("tests", "setup", "conftest", "build", "dist", "baselines")


def write_package(name: str, folder: Path) -> list[Path]:
    """Fill `folder`, which must be missing or empty, with an installable package that offers the task `name`.

    Returns the files. Raises UserError for a name that no task or no Python package can have, and for what is there.
    """
    package = _package(name)
    if _occupied(folder):
        raise UserError(
            f"{folder} is there already and not an empty folder: name another, `mlsbench new-task {name} DIR`"
        )
    written = []
    for source in sorted(TEMPLATE.rglob("*")):
        if not source.is_file() or "__pycache__" in source.parts:
            continue
        path = folder / _renamed(str(source.relative_to(TEMPLATE)), name, package)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(_renamed(source.read_text(encoding="utf-8"), name, package))
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None
        written.append(path)
    return written


def _occupied(folder: Path) -> bool:
    try:
        return folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir())))
    except OSError as error:
        raise UserError(f"{str(folder)[:300]}: cannot be used: {error.strerror}") from None


def _renamed(text: str, name: str, package: str) -> str:
    return re.sub(f"{NAME}|{PACKAGE}", lambda found: name if found[0] == NAME else package, text)


def _package(name: str) -> str:
    """The Python package of the task `name`."""
    package = name.replace("-", "_")
    if not re.fullmatch(r"[a-z]([a-z0-9_-]*[a-z0-9])?", name) or len(name) > _LONGEST:
        raise UserError(
            f"a task cannot be called {name[:80]!r}: take small letters, digits, - and _, a letter first and neither "
            f"- nor _ last, {_LONGEST} at most"
        )
    if keyword.iskeyword(package):
        raise UserError(f"a task cannot be called {name!r}: its package would be, and that is a word of Python's own")
    if package in _TAKEN:
        raise UserError(f"a task cannot be called {name!r}: its package stands beside a folder or file of that name")
    if name in list_tasks():
        raise UserError(f"there is a task {name!r} already")
    if find_spec(package) is not None:
        raise UserError(f"a task cannot be called {name!r}: there is a Python package {package} already")
    return package
