"""Rollouts whose jobs are done by a process that does not train, and a task that hides a benchmark."""

from __future__ import annotations

import functools
import shutil
import sys
from pathlib import Path

import pytest

import mlsbench.harness.launch as launch
from mlsbench.tasks import TaskFolder, get_task, open_task
from mlsbench.tasks.loader import CATALOGUE

TASK = get_task("security-membership-inference-defense")
HIDDEN = "mobilenetv2-digits"


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine starts `standin_job.py` for each job, all else is real."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("standin_job.py"))]
    monkeypatch.setattr(launch, "LocalEngine", functools.partial(launch.LocalEngine, command=command))


@pytest.fixture
def hiding(tmp_path: Path) -> TaskFolder:
    """The task with one benchmark of `smoke` hidden, and its line in the instruction gone."""
    folder = tmp_path / TASK.spec.id
    shutil.copytree(TASK.path, folder)
    spec = (folder / "task.toml").read_text() + CATALOGUE.read_text()
    (folder / "task.toml").write_text(
        spec.replace(f"[benchmarks.{HIDDEN}]\n", f"[benchmarks.{HIDDEN}]\nhidden = true\n")
    )
    lines = [line for line in TASK.instruction().split("\n") if HIDDEN not in line]
    (folder / "instruction.md").write_text("\n".join(lines))
    return open_task(folder)
