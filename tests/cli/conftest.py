"""The installed command as users have it: a process of its own with its own output."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import mlsbench.cli
from mlsbench.tasks import get_task

COMMAND = str(Path(sys.executable).with_name("mlsbench"))
TASK = "security-membership-inference-defense"

Candidate = Callable[[str], Path]
Called = tuple[int, str, str]


@pytest.fixture(scope="session")
def command() -> str:
    return COMMAND


@pytest.fixture(scope="session")
def mlsbench_run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """mlsbench_run("run", TASK, …, cwd=…, variable=…): the command's exit status and what it wrote."""

    def call(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *map(str, arguments)], cwd=cwd, env=os.environ | environment, capture_output=True, text=True,
            check=False, timeout=200,
        )  # fmt: skip

    return call


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    """The same entry point in this process, for what runs no job: status, output, errors. Exceptions are not caught."""

    def invoke(*arguments: object) -> Called:
        monkeypatch.setattr(sys, "argv", ["mlsbench", *map(str, arguments)])
        status = 0
        try:
            mlsbench.cli.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return invoke


@pytest.fixture(scope="session")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """candidate("return …"): a submission whose compute_loss has this body, of any number of lines."""
    template = get_task(TASK).template()
    folder = tmp_path_factory.mktemp("candidates")

    def write(body: str, name: str = "mine.py") -> Path:
        plain = "        return F.cross_entropy(logits, labels)\n"
        assert template.count(plain) == 1
        lines = "".join(f"        {line}\n" for line in body.splitlines())
        path = Path(tempfile.mkdtemp(dir=folder)) / name  # several threads write candidates
        path.write_text(template.replace(plain, lines))
        return path

    return write
