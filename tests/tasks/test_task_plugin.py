"""Claim: the package that `new-task` writes, once pip has installed it, offers its task without any change here."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from mlsbench.tasks import write_package

ASK = """
import json
from mlsbench.tasks import baseline_path, get_task, list_tasks, read_submission
task = get_task("tiny-loss")
submissions = [task.path, baseline_path("tiny-loss", "cross_entropy")]
print(json.dumps({
    "listed": {name: str(path) for name, path in list_tasks().items()}, "metrics": [m.name for m in task.spec.metrics],
    "instruction": task.instruction(), "measure": task.measure(),
    "texts": [read_submission(path, task).text for path in submissions],
}))
"""


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a fresh interpreter says about the task, after installing the package into a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    target = folder / "site"
    write_package("tiny-loss", folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--target", str(target), str(folder / "source")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(target), os.environ.get("PYTHONPATH", "")])}
    asked = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    return {"site": str(target), **json.loads(asked.stdout)}


def test_an_installed_task_is_listed_beside_those_that_ship_here(answer) -> None:
    assert {"security-membership-inference-defense", "tiny-loss"} <= set(answer["listed"])
    assert answer["listed"]["tiny-loss"].startswith(answer["site"])


def test_an_installed_task_is_loaded_with_all_its_files(answer) -> None:
    assert answer["metrics"] == ["test_acc", "score"]
    assert answer["instruction"].startswith("# What tiny-loss is about")
    assert "def measure(" in answer["measure"]
    assert all("class CustomLoss" in text for text in answer["texts"])
