"""`baselines` ends with measured beside published, and its document is made from records, never typed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

TASK = "security-membership-inference-defense"
TINY = (
    "baselines", TASK, "--only", "erm", "--protocol", "smoke", "--benchmark", "resnet20-digits", "--seed", "42",
    "--override", "epochs=1", "--override", "members=64", "--sandbox", "process", "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(mlsbench_run: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("baselines")
    return mlsbench_run(*TINY, "--report", "report.md", "--json", cwd=folder), folder


def test_under_another_protocol_measured_values_stand_alone(made: tuple[Any, Path]) -> None:
    done, _ = made
    document = json.loads(done.stdout)
    assert document["note"].startswith("The published rows belong to protocol paper: under smoke+epochs=1+members=64")
    rows = document["reproduction"]["rows"]
    assert [row["metric"] for row in rows] == ["test_acc", "mia_auc", "privacy_gap", "privacy_score"]
    assert all(row["mean"] is not None and row["published"] is None for row in rows)


def test_a_baseline_without_a_file_is_the_tasks_mistake_and_no_submission_s(
    call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mlsbench.tasks.baseline_path", lambda task, name: tmp_path / f"{name}.py")
    status, _, errors = call(*TINY, "--runs", tmp_path / "runs")
    assert status == 2
    assert "task.toml: baselines.erm: " in errors
    assert "there is no such file" in errors


def test_the_document_tells_how_it_was_made(made: tuple[Any, Path]) -> None:
    done, folder = made
    text, (record,) = (folder / "report.md").read_text(), json.loads(done.stdout)["records"]
    assert f"mlsbench baselines {TASK} --only erm --protocol smoke" in text
    assert "The published rows belong to protocol paper" in text
    for fact in (
        "split key public, seeds 42", "device: cpu", "precision: fp32", f"torch {record['setting']['torch']}",
        record["setting"]["frozen"][:12], record["created"][:10],
    ):  # fmt: skip
        assert fact in text


def test_the_same_command_makes_the_same_document_without_a_job(made: tuple[Any, Path], mlsbench_run: Any) -> None:
    _, folder = made
    before = (folder / "report.md").read_bytes()
    (folder / "report.md").unlink()
    again = mlsbench_run(*TINY, "--report", "report.md", "--json", cwd=folder)
    assert "1 of 1 jobs are finished already" in again.stderr
    assert (folder / "report.md").read_bytes() == before


def test_the_document_says_how_jobs_ended_that_are_not_sound(made: tuple[Any, Path]) -> None:
    done, folder = made
    (record,) = json.loads(done.stdout)["records"]
    assert record["status"] == "collapsed"
    assert "erm, resnet20-digits, seed 42: collapsed: test accuracy" in (folder / "report.md").read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="only root is told that /proc can be written")
def test_a_document_that_fails_at_the_end_costs_nobody_the_table(made: tuple[Any, Path], mlsbench_run: Any) -> None:
    _, folder = made
    done = mlsbench_run(*TINY, "--report", "/proc/report.md", cwd=folder)
    assert "privacy" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: --report /proc/report.md: ")
    assert done.returncode == 2


def test_a_document_that_cannot_be_written_is_said_before_anything_runs(mlsbench_run: Any, tmp_path: Path) -> None:
    done = mlsbench_run(*TINY, "--report", "nowhere/report.md", cwd=tmp_path)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert (
        done.stderr == "error: --report nowhere/report.md: name a file in a folder that is there and can be written\n"
    )
