"""Progress follows jobs of several entries at once, though they are called alike but for the entry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlsbench.cli.progress import JobProgress
from mlsbench.harness.engine import Event
from mlsbench.harness.plan import Job, Machine, plan
from mlsbench.harness.split import read_key
from mlsbench.harness.variant import variant
from mlsbench.scoring import Entry, Record, Status
from mlsbench.tasks import get_task, read_submission

TASK = get_task("security-membership-inference-defense")
NEWS = {"epoch": 1, "epochs": 6, "test_acc": 0.5, "left_seconds": 12.0}


def job(runs: Path, name: str) -> Job:
    candidate = read_submission(TASK.path, TASK)
    entry = Entry(name=name, type="baseline", submission=candidate.sha256)
    machine, chosen = Machine("process", "cpu", "fp32", 1), variant(TASK.spec, "smoke")
    (made,) = plan(TASK, candidate, entry, chosen, machine, read_key("public"), runs, ["resnet20-digits"], [42])
    return made


def end(of: Job, status: Status = "failed") -> Event:
    record = Record(
        job_key=of.setting.job_key(of.entry.submission), entry=of.entry, setting=of.setting, status=status,
        reason="failed in epoch 3: [bold]x", metrics={}, timing={"total": 7.0}, created=datetime.now(UTC),
    )  # fmt: skip
    return Event("end", of, {}, record)


def test_one_entrys_end_leaves_the_others_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = job(tmp_path, "erm"), job(tmp_path, "relaxloss")
    assert one.label == two.label
    with JobProgress([one, two]) as progress:
        for event in (Event("start", one, {"attempt": 1}), Event("start", two, {"attempt": 1}), end(one),
                      Event("epoch", two, NEWS), end(two)):  # fmt: skip
            progress(event)
    assert capsys.readouterr().err.splitlines() == [
        "erm: resnet20-digits seed 42: starts on cpu",
        "relaxloss: resnet20-digits seed 42: starts on cpu",
        "[1/2] erm: resnet20-digits seed 42: failed in 7 s on cpu",
        "    failed in epoch 3: [bold]x",
        "relaxloss: resnet20-digits seed 42: epoch 1/6, test accuracy 0.500, 12 s left",
        "[2/2] relaxloss: resnet20-digits seed 42: failed in 7 s on cpu",
        "    failed in epoch 3: [bold]x",
    ]


def test_what_is_left_of_the_plan_is_said_when_a_job_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = job(tmp_path, "erm"), job(tmp_path, "relaxloss")
    with JobProgress([one, two]) as progress:
        for event in (Event("start", one, {"attempt": 1}), end(one, "scored")):
            progress(event)
    assert capsys.readouterr().err.splitlines()[1] == (
        "[1/2] erm: resnet20-digits seed 42: scored in 7 s on cpu; ~0 s left"
    )


def test_a_lone_entry_is_not_named_in_every_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = job(tmp_path, "mine")
    with JobProgress([one]) as progress:
        progress(Event("start", one, {"attempt": 1}))
        progress(Event("epoch", one, NEWS))
        progress(Event("retry", one, {"reason": "gone"}))
    assert capsys.readouterr().err.splitlines() == [
        "resnet20-digits seed 42: epoch 1/6, test accuracy 0.500, 12 s left",
        "resnet20-digits seed 42: retry: gone",
    ]
