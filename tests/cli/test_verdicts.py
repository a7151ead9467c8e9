"""What a loss does decides how its jobs end, what the table and the exit code say, and nothing is averaged away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import torch

from mlsbench.harness.data import load
from mlsbench.harness.split import membership, run_seeds
from mlsbench.scoring.record import record_schema
from mlsbench.tasks import get_task

TASK = "security-membership-inference-defense"
SPEC = get_task(TASK).spec
# Two jobs at once, where there is one, is a thread for each: several commands run side by side here.
TINY = (
    "--protocol",
    "smoke",
    "--benchmark",
    "resnet20-digits",
    "--sandbox",
    "process",
    "--device",
    "cpu",
    "--jobs",
    "2",
)
SCORED = ("--override", "epochs=4", "--override", "members=256", "--override", "batch=16")
SHORT = ("--override", "epochs=4", "--override", "members=64")


def first_labels(seed: int, members: int, batch: int) -> torch.Tensor:
    """The labels of the first batch of a job under the public key, from the definitions of split and order."""
    data = load("digits", SPEC.datasets["digits"], members=members)
    own = torch.from_numpy(data.train_labels[membership(b"public", seed, data.train_keys)])
    order = torch.Generator().manual_seed(run_seeds(b"public", seed).order)
    return own[torch.randperm(members, generator=order)[:batch]]


def weighted(labels: torch.Tensor) -> int:
    return int((labels * torch.arange(1, len(labels) + 1)).sum())


class Run(NamedTuple):
    status: int
    document: dict[str, Any]
    errors: str

    @property
    def record(self) -> dict[str, Any]:
        (record,) = self.document["records"]
        return record  # type: ignore[no-any-return]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.document["table"]["rows"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def runs(mlsbench_run: Any, candidate: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """One command for each kind of loss, two commands at a time."""
    first = weighted(first_labels(43, 64, 32))
    assert first != weighted(first_labels(42, 64, 32))
    marker = f"(labels * torch.arange(1, len(labels) + 1)).sum() == {first}"
    one, both = ("--seed", "42"), ("--seed", "42", "--seed", "43")
    commands = {
        "sound": ("return F.cross_entropy(logits, labels)", (*SCORED, *both)),
        "negated": ("return -F.cross_entropy(logits, labels)", (*SHORT, *one)),
        "blind": ("return torch.zeros((), requires_grad=True) * 1", (*SHORT, *one)),
        "nan": ("return F.cross_entropy(logits, labels) * (float('nan') if epoch == 2 else 1)", (*SHORT, *one)),
        "picky": (
            f"if {marker}:\n    raise ValueError('[bold]bad luck[/bold]')\nreturn F.cross_entropy(logits, labels)",
            (*SHORT, *both),
        ),
        "huge": ("return 1e30 * F.cross_entropy(logits, labels)", (*SHORT, *one, "--jobs", "1")),
    }
    folder = tmp_path_factory.mktemp("runs")

    def call(name: str) -> Run:
        body, options = commands[name]
        done = mlsbench_run(
            "run", TASK, "--submission", candidate(body, f"{name}.py"), *TINY, *options, "--runs", folder, "--json"
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Run(done.returncode, json.loads(done.stdout), done.stderr)

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(commands, pool.map(call, commands), strict=True))
    found["folder"] = Run(0, {"path": str(folder)}, "")
    return found


def test_a_sound_loss_is_scored_with_a_mean_over_both_seeds(runs: dict[str, Run]) -> None:
    run = runs["sound"]
    assert run.status == 0
    assert [r["status"] for r in run.document["records"]] == ["scored", "scored"]
    scores = [r["metrics"]["privacy_score"] for r in run.document["records"]]
    score = run.rows[-1]["metrics"]["privacy_score"]
    assert (score["mean"], score["n"], score["planned"]) == (pytest.approx(sum(scores) / 2), 2, 2)


def test_threads_are_shared_between_jobs(runs: dict[str, Run]) -> None:
    cores = len(os.sched_getaffinity(0))
    assert {r["environment"]["threads"] for r in runs["sound"].document["records"]} == {max(1, cores // 2)}
    assert runs["huge"].record["environment"]["threads"] == cores


def test_every_record_keeps_the_schema(runs: dict[str, Run]) -> None:
    validator = jsonschema.Draft202012Validator(record_schema())
    paths = list(Path(runs["folder"].document["path"]).rglob("record.json"))
    assert len(paths) == 8
    for path in paths:
        validator.validate(json.loads(path.read_text()))


def test_a_negated_cross_entropy_collapses_for_want_of_accuracy(runs: dict[str, Run]) -> None:
    run = runs["negated"]
    assert (run.status, run.record["status"]) == (1, "collapsed")
    assert "test accuracy" in run.record["reason"] or "not finite" in run.record["reason"]


def test_a_loss_that_ignores_its_input_is_rejected_before_training(runs: dict[str, Run]) -> None:
    run = runs["blind"]
    assert (run.status, run.record["status"], run.record["metrics"]) == (3, "rejected", {})
    assert "does not depend on the logits" in run.record["reason"]
    assert run.record["training"]["epochs"] == 0


def test_a_loss_that_turns_nan_fails_with_the_epoch(runs: dict[str, Run]) -> None:
    run = runs["nan"]
    assert (run.status, run.record["status"], run.record["metrics"]) == (1, "failed", {})
    assert run.record["reason"] == "failed in epoch 2: compute_loss returned a loss of nan"
    assert run.record["training"]["epochs"] == 2


def test_a_signal_that_destroys_the_weights_collapses_and_keeps_test_acc_alone(runs: dict[str, Run]) -> None:
    run = runs["huge"]
    assert (run.status, run.record["status"]) == (1, "collapsed")
    assert "not finite in epoch 0" in run.record["reason"]
    metrics = dict(run.record["metrics"])
    assert 0 <= metrics.pop("test_acc") <= 0.2
    assert metrics == {"mia_auc": None, "privacy_gap": None, "privacy_score": None}


def test_a_loss_that_raises_under_one_seed_fails_there_and_other_seeds_go_on(runs: dict[str, Run]) -> None:
    records = {r["setting"]["seed"]: r for r in runs["picky"].document["records"]}
    assert runs["picky"].status == 1
    assert records[43]["status"] == "failed"
    assert "raised ValueError: [bold]bad luck[/bold] (line " in records[43]["reason"]
    assert records[42]["status"] in ("scored", "collapsed")
    assert records[42]["training"]["epochs"] == 4


def test_fewer_seeds_than_planned_have_no_mean(runs: dict[str, Run]) -> None:
    for row in runs["picky"].rows:
        assert (row["n"], row["planned"]) == (1, 2)
        assert all(value is None for value in row["metrics"].values())
    assert runs["picky"].rows[-1]["rank"] is None


def test_the_table_shows_how_many_seeds_there_are_and_why(runs: dict[str, Run], mlsbench_run: Any) -> None:
    done = mlsbench_run("table", TASK, "--protocol", "smoke", *SHORT, "--seed", "42", "--seed", "43",
                        "--runs", runs["folder"].document["path"])  # fmt: skip
    assert done.returncode == 0
    assert "1/2" in done.stdout
    assert "[bold]bad luck[/bold]" in " ".join(done.stdout.split())
    assert "compute_loss returned a loss of nan" in " ".join(done.stdout.split())


def test_progress_goes_to_standard_error_and_names_each_jobs_end(runs: dict[str, Run]) -> None:
    errors = runs["sound"].errors
    assert "epoch 1/4, test accuracy" in errors
    for number in (1, 2):
        assert f"[{number}/2] resnet20-digits seed 4" in errors
    assert "[1/1] resnet20-digits seed 42: failed" in runs["nan"].errors


def test_the_same_command_again_trains_nothing_and_says_the_same(
    runs: dict[str, Run], mlsbench_run: Any, candidate: Any
) -> None:
    before = runs["nan"]
    body = "return F.cross_entropy(logits, labels) * (float('nan') if epoch == 2 else 1)"
    done = mlsbench_run(
        "run", TASK, "--submission", candidate(body, "nan.py"), *TINY, *SHORT, "--seed", "42", "--json",
        "--runs", runs["folder"].document["path"],
    )  # fmt: skip
    assert "1 of 1 jobs are finished already" in done.stderr
    assert "epoch" not in done.stderr
    assert (done.returncode, json.loads(done.stdout)) == (before.status, before.document)


def test_jobs_that_fail_for_reasons_of_ours_end_with_status_four(command: str, candidate: Any, tmp_path: Path) -> None:
    """Each attempt's process is killed as soon as it is there."""
    arguments = [command, "run", TASK, "--submission", candidate("return F.cross_entropy(logits, labels)"), *TINY]
    process = subprocess.Popen([*map(str, arguments), *SHORT, "--seed", "42", "--runs", tmp_path], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        for child in Path(f"/proc/{process.pid}/task").glob("*/children"):
            for pid in _numbers(child):
                if b"mlsbench.harness.job" in _bytes(Path(f"/proc/{pid}/cmdline")):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    output, errors = process.communicate(timeout=10)
    assert process.returncode == 4, errors
    assert "infra_failed" in output
    assert errors.count("retry: the job's process was ended by SIGKILL") == 2
    (record,) = tmp_path.rglob("record.json")
    assert json.loads(record.read_text())["attempts"] == 3


def _numbers(path: Path) -> list[int]:
    return [int(word) for word in _bytes(path).split()]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # the process is gone
