"""Rollouts whose jobs are done by a process that does not train."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest

import mlsbench.harness.launch as launch


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine starts `standin_job.py` for each job, all else is real."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("standin_job.py"))]
    monkeypatch.setattr(launch, "LocalEngine", functools.partial(launch.LocalEngine, command=command))
