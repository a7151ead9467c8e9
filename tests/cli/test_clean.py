"""`mlsbench clean` removes what killed commands left and nothing that anybody misses."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsbench.sandbox import owner

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job's folder with a record, a log and a half-written file."""
    folder = tmp_path / "runs" / "task" / "smoke" / "entry" / "benchmark" / "seed-42"
    folder.mkdir(parents=True)
    for name in (".lock", "record.json", "worker.log", ".scores.npz.0123abcd.tmp"):
        (folder / name).write_text("{}")
    return folder


def test_half_written_files_go_and_records_and_logs_stay(call: Call, job: Path, tmp_path: Path) -> None:
    status, output, errors = call("clean", "--runs", str(tmp_path / "runs"))
    assert (status, errors) == (0, "")
    assert "half-written files removed: 1\n" in output
    assert sorted(p.name for p in job.iterdir()) == [".lock", "record.json", "worker.log"]


def test_a_running_jobs_files_stay(call: Call, job: Path, tmp_path: Path) -> None:
    with open(job / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "half-written files removed: 0\n" in call("clean", "--runs", str(tmp_path / "runs"))[1]
    assert (job / ".scores.npz.0123abcd.tmp").exists()


def test_what_is_no_jobs_own_stays(call: Call, job: Path, tmp_path: Path) -> None:
    kept = [job / ".draft.tmp", job / ".record.json.tmp", tmp_path / "runs" / ".scores.npz.0123abcd.tmp"]
    for path in kept:
        path.write_text("")
    (tmp_path / "runs" / ".lock").write_text("")
    (job / ".curve.csv.0123abcd.tmp").mkdir()
    assert "half-written files removed: 1\n" in call("clean", "--runs", str(tmp_path / "runs"))[1]
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path)])
def test_a_lock_that_is_none_holds_nobody_up(
    call: Call, job: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    other = job.with_name("seed-43")
    other.mkdir()
    make(other / ".lock")
    assert "half-written files removed: 1\n" in call("clean", "--runs", str(tmp_path / "runs"))[1]


def test_a_runs_folder_that_is_not_there_is_clean(call: Call, tmp_path: Path) -> None:
    assert call("clean", "--runs", str(tmp_path / "none"))[0] == 0


def test_folders_of_the_dead_go_without_an_engine_too_and_those_of_the_living_stay(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living = owner.identity()
    dead = living.rpartition(".")[0] + ".1"
    for folder in (f"mlsbench-{living}-abc", f"mlsbench-{dead}-abc", "mlsbench-other"):
        (tmp_path / folder / "0").mkdir(parents=True)
    status, output, _ = call("clean", "--runs", str(tmp_path / "none"))
    assert status == 0
    assert "folders removed: 1; containers were not looked for: no Docker engine runs" in output
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"mlsbench-{living}-abc", "mlsbench-other"])
