"""Claim: a package that pip installed beside mlsbench offers its task without any change here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "fixture_package"
ASK = """
import json
from mlsbench.tasks import get_task, list_tasks, read_submission
from pathlib import Path
task = get_task("tiny-loss")
submission = read_submission(task.path, task)
print(json.dumps({
    "listed": {name: str(path) for name, path in list_tasks().items()},
    "title": task.spec.title, "instruction": task.instruction(), "text": submission.text,
}))
"""


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a fresh interpreter says about the task, after installing the package into a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(PACKAGE, folder / "source")  # a build leaves files behind
    target = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    environment = os.environ | {"PYTHONPATH": str(target)}
    asked = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    return {"site": str(target), **json.loads(asked.stdout)}


def test_an_installed_task_is_listed_beside_the_one_that_ships_here(answer) -> None:
    assert sorted(answer["listed"]) == ["security-membership-inference-defense", "tiny-loss"]
    assert answer["listed"]["tiny-loss"].startswith(answer["site"])


def test_an_installed_task_is_loaded_with_all_its_files(answer) -> None:
    assert answer["title"] == "A tiny task"
    assert answer["instruction"] == "Lower the loss.\n"
    assert "class TinyLoss" in answer["text"]
