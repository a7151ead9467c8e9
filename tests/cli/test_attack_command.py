"""Attacks by the command line: targets are trained before them, once, and by `verify` again, to the last bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlsbench.harness.launch import Launch
from mlsbench.harness.plan import Job
from mlsbench.tasks import baseline_path

TASK = "security-membership-inference-attack"
TINY = (
    "--protocol", "smoke", "--benchmark", "mlp-prototypes", "--seed", "42", "--override", "epochs=8",
    "--override", "members=300", "--sandbox", "process", "--device", "cpu", "--jobs", "2",
)  # fmt: skip


@pytest.fixture(scope="module")
def attacked(mlsbench_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attacked")
    done = mlsbench_run("run", TASK, "--submission", baseline_path(TASK, "lira"), *TINY, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_models_are_trained_again_with_the_records_threads(
    call: Any, attacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = (attacked / "runs" / TASK).glob("*/lira-*/*/seed-42")
    copied = shutil.copytree(folder, tmp_path / "copied")
    document = json.loads((copied / "record.json").read_text())
    document["environment"]["threads"] = 3
    (copied / "record.json").write_text(json.dumps(document))
    planned: list[Job] = []

    def run(launch: Launch, jobs: list[Job]) -> None:
        planned.extend(jobs)
        raise KeyboardInterrupt

    monkeypatch.setattr(Launch, "run", run)
    call("verify", copied, "--sandbox", "process")
    (job,) = planned
    assert {job.threads, *(model.threads for model in job.models)} == {3}
    assert all(model.folder.name.endswith("-threads-3") for model in job.models)


@pytest.mark.slow
def test_verified_with_its_targets_an_attack_is_the_same_to_the_last_bit_but_for_an_edited_score(
    mlsbench_run: Any, attacked: Path
) -> None:
    (path,) = (attacked / "runs" / TASK).glob("*/lira-*/*/seed-42/record.json")
    written = path.read_text()
    path.write_text(json.dumps(json.loads(written) | {"metrics": json.loads(written)["metrics"] | {"auc": 0.99}}))
    try:
        done = mlsbench_run("verify", path, "--sandbox", "process", "--json")
    finally:
        path.write_text(written)
    document = json.loads(done.stdout)
    assert (done.returncode, document["expected"]) == (1, "bits")
    assert {fault.split(",")[0] for fault in document["faults"]} == {"auc: 0.99 in the record"}


@pytest.mark.slow
def test_the_second_attack_trains_nothing_and_the_table_shows_attacks_alone(mlsbench_run: Any, attacked: Path) -> None:
    done = mlsbench_run("run", TASK, "--submission", baseline_path(TASK, "gap"), *TINY, cwd=attacked)
    assert "5 of 6" not in done.stderr
    assert "epoch" not in done.stderr
    shown = mlsbench_run("table", TASK, "--protocol", "smoke+epochs=8+members=300", "--format", "csv", cwd=attacked)
    assert {line.split(",")[1] for line in shown.stdout.splitlines()[1:]} <= {"lira", "gap"}


@pytest.mark.slow
def test_a_model_that_was_attacked_is_no_record_to_verify(call: Any, attacked: Path) -> None:
    path = next((attacked / "runs" / TASK).glob("*/targets/*/seed-42-*"))
    status, _, errors = call("verify", path)
    assert status == 2
    assert "attacks are run on" in errors


@pytest.mark.parametrize("command", ["audit", "report"])
def test_there_is_nothing_to_audit(call: Any, command: str) -> None:
    status, _, errors = call(command, TASK)
    assert status == 2
    assert TASK in errors
