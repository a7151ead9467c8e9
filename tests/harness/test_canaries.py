"""Canaries have wrong labels, follow from the key alone, are members half of the time, and an overfitted model gives
them away."""

from __future__ import annotations

import csv
import hashlib
import hmac
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlsbench import UserError
from mlsbench.harness.canaries import mislabel
from mlsbench.harness.data import load
from mlsbench.harness.job import run
from mlsbench.harness.plan import Job, Machine, plan
from mlsbench.harness.split import membership, read_key
from mlsbench.harness.variant import variant
from mlsbench.scoring.kept import read_scores
from mlsbench.scoring.membership import confidence_order, membership_auc
from mlsbench.scoring.record import Entry, Record, read_record
from mlsbench.scoring.trained import Trained
from mlsbench.tasks import get_task, read_submission

KEYS = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(4000)]
LABELS = np.arange(4000) % 10
TASK = get_task("security-membership-inference-defense")
MACHINE = Machine(sandbox="inprocess", device_kind="cpu", precision="fp32", threads=1)


def jobs(runs: Path, *overrides: str, seeds: tuple[int, ...] = (42,), protocol: str = "smoke") -> list[Job]:
    candidate = read_submission(TASK.path / TASK.spec.contract.file, TASK)
    entry = Entry(name="mine", type="vanilla", submission=candidate.sha256)
    chosen = variant(TASK.spec, protocol, overrides)
    return plan(TASK, candidate, entry, chosen, MACHINE, read_key("public"), runs, chosen.benchmarks[:1], seeds)


def test_canaries_have_wrong_labels_and_nobody_else_has() -> None:
    labels, canary = mislabel(b"k", KEYS, LABELS, 10, 500)
    assert canary.sum() == 500
    np.testing.assert_array_equal(labels != LABELS, canary)
    assert (labels.min(), labels.max()) == (0, 9)


def test_they_are_those_of_lowest_hmac_and_their_labels_another_hmacs() -> None:
    def value(purpose: str, key: str) -> int:
        return int.from_bytes(hmac.digest(b"k", f"{purpose}:{key}".encode(), "sha256"), "big")

    labels, canary = mislabel(b"k", KEYS, LABELS, 10, 3)
    lowest = sorted(range(len(KEYS)), key=lambda i: value("canary", KEYS[i]))[:3]
    assert np.flatnonzero(canary).tolist() == sorted(lowest)
    for i in lowest:
        assert labels[i] == (LABELS[i] + 1 + value("canary-label", KEYS[i]) % 9) % 10


def test_every_other_class_is_as_likely() -> None:
    labels, canary = mislabel(b"k", KEYS, LABELS, 10, 3600)
    counts = np.bincount((labels - LABELS)[canary] % 10, minlength=10)
    assert counts[0] == 0
    assert (abs(counts[1:] - 400) < 4 * np.sqrt(400)).all()


def test_another_key_has_other_canaries_and_other_labels_for_those_they_share() -> None:
    (ours, first), (theirs, second) = (mislabel(key, KEYS, LABELS, 10, 2000) for key in (b"k", b"l"))
    both = first & second
    assert 900 < both.sum() < 1100
    assert (ours == theirs)[both].mean() < 0.2


def test_about_half_are_members_under_a_seed_and_the_others_under_its_complement() -> None:
    _, canary = mislabel(b"k", KEYS, LABELS, 10, 1000)
    assert abs(membership(b"k", 42, KEYS)[canary].sum() - 500) < 4 * np.sqrt(250)
    assert (membership(b"k", 42, KEYS) ^ membership(b"k", 43, KEYS))[canary].all()


def test_without_canaries_labels_are_what_they_were() -> None:
    labels, canary = mislabel(b"k", KEYS, LABELS, 10, 0)
    np.testing.assert_array_equal(labels, LABELS)
    assert not canary.any()


def test_the_protocols_name_and_the_job_key_carry_them(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, "canaries=20")
    assert (job.setting.protocol, job.canaries) == ("smoke+canaries=20", 20)
    (plain,) = jobs(tmp_path)
    keys = {one.setting.job_key(one.entry.submission) for one in (job, plain)}
    assert len(keys) == 2


def test_a_protocol_may_have_them() -> None:
    assert variant(TASK.spec, "canary").canaries == 1000
    assert variant(TASK.spec, "canary", ["canaries=50"]).canaries == 50


@pytest.mark.parametrize(
    "overrides", [("members=64", "canaries=200"), ("members=64", "canaries=64"), ("canaries=718",)]
)
def test_as_many_canaries_as_members_are_refused(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"canaries=\d+: resnet20-digits has \d+ members"):
        jobs(tmp_path, *overrides)


def ran(job: Job) -> tuple[Record, Trained]:
    run(job, lambda event: None, 0.0)
    data = load("digits", TASK.spec.datasets["digits"], None, job.members)
    kept = read_scores(job.folder, data.train_labels, data.test_labels, 10)
    return read_record(job.folder / "record.json"), kept


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Record, Trained]:
    overrides = ("members=96", "canaries=64", "epochs=15", "batch=32")
    (job,) = jobs(tmp_path_factory.mktemp("runs"), *overrides)
    return job, *ran(job)


Overfitted = tuple[Job, Record, Trained]


@pytest.mark.slow
def test_an_overfitted_model_gives_canaries_away_more_than_the_average(overfitted: Overfitted) -> None:
    _, record, _ = overfitted
    found: dict[str, Any] = record.audit
    assert found["canary_auc"] > record.metrics["mia_auc"] + 0.1  # type: ignore[operator]
    assert found["canary_auc_low"] < found["canary_auc"] < found["canary_auc_high"]
    assert found["canary_auc_low"] > 0.6


@pytest.mark.slow
def test_the_other_metrics_are_about_honest_examples(overfitted: Overfitted) -> None:
    job, record, kept = overfitted
    assert kept.mislabelled.sum() == 64
    order = confidence_order(kept.pool_logits)
    assert record.metrics["mia_auc"] == membership_auc(order[~kept.mislabelled], kept.member[~kept.mislabelled])
    with (job.folder / "curve.csv").open() as file:
        *_, last = csv.DictReader(file)
    assert float(last["mia_auc"]) == pytest.approx(record.metrics["mia_auc"], abs=1e-5)


def test_a_job_without_canaries_keeps_no_labels(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, "members=32", "epochs=1")
    record, kept = ran(job)
    assert not kept.mislabelled.any()
    assert "canary_auc" not in record.audit
    with np.load(job.folder / "scores.npz") as archive:
        assert set(archive.files) == {"train_logits", "test_logits", "member"}
