"""Fixtures of the tests about tasks: the task that ships here, and a copy of its folder to break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlsbench.tasks import TaskFolder, get_task
from mlsbench.tasks.loader import CATALOGUE

NAME = "security-membership-inference-defense"


@pytest.fixture(scope="session")
def task() -> TaskFolder:
    """The task that ships with mlsbench."""
    return get_task(NAME)


@pytest.fixture
def broken(task: TaskFolder, tmp_path: Path) -> Path:
    """A writable copy of the task's folder, whose task.toml says itself all that it uses of the catalogue."""
    folder = Path(shutil.copytree(task.path, tmp_path / NAME))
    with (folder / "task.toml").open("a") as file:
        file.write(CATALOGUE.read_text())
    return folder
