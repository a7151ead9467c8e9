"""Ctrl-C and `kill -9` leave no process and no half of a record, and the same command goes on with what is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TASK = "security-membership-inference-defense"
DEADLINE = 200  # of a test on a busy machine
OPTIONS = (
    "--protocol", "smoke", "--benchmark", "resnet20-digits", "--sandbox", "process", "--device", "cpu",
    "--override", "epochs=6", "--override", "members=64",
)  # fmt: skip


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE} s"
        time.sleep(0.05)


def descendants(root: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # gone
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {root}


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def heed_interrupts() -> None:
    """What a shell does for a command in the foreground; the tests themselves may run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Ended:
    """A run of two seeds that got a signal in the training of the second, and the same command afterwards."""

    def __init__(self, command: str, submission: Path, folder: Path, number: int) -> None:
        self.folder = folder
        arguments = [command, "run", TASK, "--submission", str(submission), *OPTIONS, "--runs", str(folder / "runs")]
        log = folder / "errors"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                arguments, stderr=errors, stdout=subprocess.PIPE, process_group=0, preexec_fn=heed_interrupts
            )
            until(lambda: "seed 43: epoch 1/6" in log.read_text() or process.poll() is not None, "epoch 1 of seed 43")
            self.processes = descendants(process.pid)
            os.killpg(process.pid, number)
            self.output, _ = process.communicate(timeout=DEADLINE)
        self.status, self.errors = process.returncode, log.read_text()
        until(lambda: not any(map(alive, self.processes)), "all jobs and workers are gone")
        self.files = sorted(p for p in folder.rglob("*") if p.is_file())
        self.records = [json.loads(p.read_text()) for p in self.files if p.name == "record.json"]
        self.again = subprocess.run([*arguments, "--json", "--jobs", "2"], capture_output=True, text=True, check=False)


def test_a_job_in_a_long_call_ends_with_its_driver(command: str, candidate: Any, tmp_path: Path) -> None:
    """Neither the job nor the candidate, which never answers again, would notice by themselves before the deadline."""
    submission = candidate("while epoch == 1:\n    pass\nreturn F.cross_entropy(logits, labels)")
    arguments = [command, "run", TASK, "--submission", str(submission), *OPTIONS, "--runs", str(tmp_path / "runs")]
    log = tmp_path / "errors"
    with log.open("wb") as errors:
        process = subprocess.Popen([*arguments, "--seed", "42"], stderr=errors, stdout=subprocess.DEVNULL)
        until(lambda: "epoch 1/6" in log.read_text() or process.poll() is not None, "the first epoch")
        processes = descendants(process.pid)
        process.kill()
        process.wait()
    assert len(processes) >= 2
    until(lambda: not any(map(alive, processes)), "all jobs and workers are gone")
    assert not list(tmp_path.rglob("record.json"))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(signal.SIGINT, id="ctrl-c"),
        pytest.param(signal.SIGTERM, id="term", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, id="kill-9", marks=pytest.mark.slow),
    ],
)
def ended(request: Any, command: str, candidate: Any, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    submission = candidate("return F.cross_entropy(logits, labels)")
    return Ended(command, submission, tmp_path_factory.mktemp("ended"), request.param)


def test_the_exit_status_tells_of_the_signal(ended: Ended) -> None:
    assert ended.status in (130, -signal.SIGKILL)
    if ended.status == 130:
        assert ended.errors.endswith("interrupted: the same command continues with the jobs that are left\n")
        assert "Traceback" not in ended.errors


def test_a_job_and_two_or_three_workers_were_there_and_are_gone(ended: Ended) -> None:
    assert len(ended.processes) >= 2
    assert not any(map(alive, ended.processes))


def test_what_was_finished_is_kept_and_what_was_not_has_no_record(ended: Ended) -> None:
    assert [r["setting"]["seed"] for r in ended.records] == [42]


def test_no_file_is_half_written(ended: Ended) -> None:
    assert not [p for p in ended.files if p.suffix == ".tmp"]
    unfinished = {p.name for p in ended.files if p.parent.name == "seed-43"}
    assert not unfinished & {"record.json", "scores.npz", "weights.safetensors", "curve.csv"}


def test_the_same_command_trains_what_is_left_alone(ended: Ended) -> None:
    assert "1 of 2 jobs are finished already" in ended.again.stderr
    assert "seed 42: epoch" not in ended.again.stderr
    assert "[1/1] resnet20-digits seed 43" in ended.again.stderr


def test_the_table_then_has_every_seed(ended: Ended) -> None:
    document = json.loads(ended.again.stdout)
    assert [r["setting"]["seed"] for r in document["records"]] == [42, 43]
    assert document["records"][0]["created"] == ended.records[0]["created"]
    assert {row["n"] for row in document["table"]["rows"]} == {2}
    assert {r["attempts"] for r in document["records"]} == {1}
