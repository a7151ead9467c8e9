"""Claim: who follows docs/adding-a-task.md, file by file and command by command, has a task that works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "adding-a-task.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps() -> str:
    """The document as a shell script: its `sh` blocks, and for each block under a file's name the writing of it."""
    lines = ["set -eu"]
    for language, file, text in BLOCK.findall(DOCUMENT.read_text()):
        if file:
            lines.append(f"test -d {Path(file).parent}\ncat > {file} <<'END OF FILE'\n{text}END OF FILE")
        elif language == "sh":
            lines.append(text)
    return "\n".join(lines)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder in which somebody followed the document, in an environment of their own with our libraries."""
    folder = tmp_path_factory.mktemp("afternoon")
    venv.create(folder / "own", with_pip=False)
    python, tools = folder / "own" / "bin" / "python", folder / "own" / "bin"
    (site,) = (folder / "own" / "lib").glob("python*/site-packages")
    (site / "beside.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    # The command as an installation makes it, and pip without a network.
    pip = f"{sys.executable} -m pip --python {python} --quiet --disable-pip-version-check"
    tried = {
        "mlsbench": f'exec {python} -P -m mlsbench "$@"',
        "pip": f'shift; exec {pip} install --no-index --no-deps --no-build-isolation "$@"',
    }
    for name, line in tried.items():
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    done = subprocess.run(
        ["bash", "-c", steps()], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=280
    )
    return folder, done


def test_every_step_succeeds(followed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = followed
    assert done.returncode in (0, 1), done.stderr + done.stdout  # 1: so short a training collapses
    assert "calibration: What calibration is about" in done.stdout
    assert "accepted: calibration/baselines/label_smoothing.py keeps the contract of calibration" in done.stdout


def test_the_baselines_end_in_a_table_of_the_new_metrics(
    followed: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = followed
    assert "calibration, protocol smoke+epochs=1+members=64" in done.stdout
    assert len(list((folder / "calibration" / "runs").rglob("record.json"))) == 2
    assert "infra_failed" not in done.stdout


def test_the_instruction_speaks_of_every_metric(followed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = followed
    text = (folder / "calibration" / "calibration" / "instruction.md").read_text()
    assert all(f"`{name}`" in text for name in ("test_acc", "ece", "calibration_score"))
    assert "`score`" not in text
    assert "What calibration is about" not in text
