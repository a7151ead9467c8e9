"""A runtime is one that the engine knows; any other name is the user's mistake and is told before anything runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from container_jobs import COMMAND, TASK, submission
from docker import DockerClient


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = [COMMAND, "run", TASK.spec.id, "--submission", str(submission(folder)), "--protocol", "smoke", *more]
    return subprocess.run(
        [*arguments, "--runs", str(folder / "runs")], capture_output=True, text=True, check=False, timeout=100
    )


def test_an_unknown_runtime_is_refused_and_the_known_ones_are_named(
    client: DockerClient, image: str, tmp_path: Path
) -> None:
    done = run(tmp_path, "--runtime", "nonsense")
    known = ", ".join(sorted(client.info()["Runtimes"]))
    expected = f"error: sandbox docker does not work here: Docker has no runtime named nonsense; it has {known}"
    assert (done.returncode, done.stderr.strip()) == (4, expected)
    assert not list(tmp_path.rglob("record.json"))


def test_a_runtime_is_for_containers(image: str, tmp_path: Path) -> None:
    done = run(tmp_path, "--runtime", "runc", "--sandbox", "process")
    assert done.returncode == 2
    assert "--runtime runc is for containers: add --sandbox docker" in done.stderr
