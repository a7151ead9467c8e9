"""An attack in containers reads the models that containers trained, and gets the scores that it gets without any."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from container_jobs import COMMAND

from mlsbench.sandbox.choose import backend
from mlsbench.scoring.record import Stored, find_records
from mlsbench.tasks import baseline_path

TASK = "security-membership-inference-attack"


def attacked(sandbox: str, runs: Path) -> Stored:
    """The record of a small attack."""
    options = (
        "--protocol", "smoke", "--benchmark", "mlp-prototypes", "--seed", "42", "--override", "epochs=2",
        "--override", "members=300", "--device", "cpu", "--jobs", "1",
    )  # fmt: skip
    submission = ("--submission", str(baseline_path(TASK, "lira")))
    command = [COMMAND, "run", TASK, *submission, *options, "--sandbox", sandbox, "--runs", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (stored,), problems = find_records(runs)
    assert not problems
    return stored


def test_an_attack_in_containers_has_the_scores_of_one_without(image: str, tmp_path: Path) -> None:
    if backend("docker").torch() != backend("process").torch().partition("+")[0]:
        pytest.skip("image and host have different versions of torch")
    ours, other = (attacked(sandbox, tmp_path / sandbox) for sandbox in ("docker", "process"))
    assert ours.record.metrics == other.record.metrics
    models = [{n for n in one.record.training if n.startswith(("target", "reference"))} for one in (ours, other)]
    assert len(models[0]) == 5
    assert models[0] == models[1]  # their files differ where versions of Python write archives differently
