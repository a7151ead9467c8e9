"""Poison has wrong labels, follows from the key and the seed's members alone, and is as much as the task says."""

from __future__ import annotations

import csv
import hashlib
import hmac
from pathlib import Path

import numpy as np
import pytest

from mlsbench import UserError
from mlsbench.harness.canaries import mislabel
from mlsbench.harness.job import run
from mlsbench.harness.plan import Job, Machine, plan
from mlsbench.harness.split import membership, read_key
from mlsbench.harness.subject import Subject, prepare
from mlsbench.harness.variant import variant
from mlsbench.scoring.record import Entry, read_record
from mlsbench.tasks import Task, TaskFolder, baseline_path, get_task, read_submission

KEYS = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(4000)]
LABELS = np.arange(4000) % 10
MEMBER = membership(b"k", 42, KEYS)
TASK = get_task("security-poison-robust-learning")
MACHINE = Machine(sandbox="inprocess", device_kind="cpu", precision="fp32", threads=1)


def jobs(
    runs: Path,
    *overrides: str,
    baseline: str = "cross_entropy",
    benchmark: str = "resnet20-digits",
    key: str = "public",
    seeds: tuple[int, ...] = (42,),
    spec: Task = TASK.spec,
) -> list[Job]:
    task = TaskFolder(TASK.path, spec)
    candidate = read_submission(baseline_path(TASK.spec.id, baseline), task)
    entry = Entry(name=baseline, type="baseline", submission=candidate.sha256)
    chosen = variant(spec, "smoke", overrides)
    return plan(task, candidate, entry, chosen, MACHINE, read_key(key), runs, [benchmark], seeds)


def poisoned(subject: Subject) -> np.ndarray:
    return subject.labels != subject.true_labels


def test_only_members_are_poisoned_and_exactly_as_many_as_asked_for() -> None:
    labels, chosen = mislabel(b"k", KEYS, LABELS, 10, 200, "poison", MEMBER)
    assert chosen.sum() == 200
    assert not (chosen & ~MEMBER).any()
    np.testing.assert_array_equal(labels != LABELS, chosen)


def test_they_are_the_members_of_lowest_hmac_and_their_labels_another_hmacs() -> None:
    def value(purpose: str, key: str) -> int:
        return int.from_bytes(hmac.digest(b"k", f"{purpose}:{key}".encode(), "sha256"), "big")

    labels, chosen = mislabel(b"k", KEYS, LABELS, 10, 3, "poison", MEMBER)
    lowest = sorted(np.flatnonzero(MEMBER).tolist(), key=lambda i: value("poison", KEYS[i]))[:3]
    assert np.flatnonzero(chosen).tolist() == sorted(lowest)
    for i in lowest:
        assert labels[i] == (LABELS[i] + 1 + value("poison-label", KEYS[i]) % 9) % 10


def test_poison_tells_nothing_about_canaries() -> None:
    _, canary = mislabel(b"k", KEYS, LABELS, 10, 2000)
    _, poison = mislabel(b"k", KEYS, LABELS, 10, 1000, "poison", MEMBER)
    assert abs((canary & poison).sum() - 500) < 4 * np.sqrt(250)


@pytest.mark.parametrize(
    ("benchmark", "share"), [("resnet20-digits", 0.1), ("vgg16bn-digits", 0.1), ("mobilenetv2-digits", 0.15)]
)
def test_a_job_trains_with_as_much_poison_as_the_task_says(benchmark: str, share: float, tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, "members=70", benchmark=benchmark)
    subject = prepare(job)
    assert poisoned(subject).sum() == round(share * 70)
    _, labels = subject.members()
    assert (labels.numpy() != subject.true_labels[subject.member]).sum() == round(share * 70)
    assert not poisoned(subject)[~subject.member].any()


def test_the_shares_are_a_tenth_a_tenth_and_15_percent() -> None:
    models = {"resnet20": 0.1, "vgg16bn": 0.1, "mobilenetv2": 0.15}
    assert TASK.spec.poison == {name: models[b.model] for name, b in TASK.spec.benchmarks.items()}


def test_another_key_and_another_seed_poison_others(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_bytes(b"s" * 32)
    secret.chmod(0o600)
    first, second = (poisoned(prepare(job)) for job in jobs(tmp_path, seeds=(42, 43)))
    (graded,) = jobs(tmp_path, key=str(secret))
    assert first.sum() == second.sum() == 72
    assert not (first & second).any()  # the seeds of a pair have no member in common
    assert (first & poisoned(prepare(graded))).sum() < 20  # 3.6 of 72 by chance


def test_poison_and_canaries_exclude_each_other(tmp_path: Path) -> None:
    attacked = get_task(
        "security-membership-inference-defense"
    ).spec.metrics  # canaries are for tasks that have mia_auc
    both = TASK.spec.model_copy(update={"metrics": attacked})
    with pytest.raises(UserError, match="canaries=5: labels of resnet20-digits are poisoned, and a task has one or"):
        jobs(tmp_path, "members=64", "canaries=5", spec=both)


@pytest.mark.parametrize("members", [2, 4])
def test_so_few_members_that_none_would_be_poisoned_are_refused(members: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"of {members} members 0 would be poisoned; take more members"):
        jobs(tmp_path, f"members={members}")


@pytest.mark.slow
def test_cross_entropy_learns_poison_by_heart_with_time(tmp_path: Path) -> None:
    """A third of 120 members is poisoned, so that the share that is fitted is more than a handful of examples."""
    spec = TASK.spec.model_copy(update={"poison": {"resnet20-digits": 1 / 3}})
    (job,) = jobs(tmp_path, "members=120", "epochs=40", "batch=30", spec=spec)
    run(job, lambda event: None, 0.0)
    with (job.folder / "curve.csv").open() as file:
        fits = [float(row["poison_fit"]) for row in csv.DictReader(file)]
    record = read_record(job.folder / "record.json")
    assert record.status == "scored"
    assert record.metrics["poison_fit"] == pytest.approx(fits[-1], abs=1e-5)
    assert max(fits[:5]) < 0.4
    assert fits[-1] > 0.8
