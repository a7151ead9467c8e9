"""Architectures that no shipped protocol trains in seconds go the way of any job, and so do tables."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mlsbench import UserError
from mlsbench.harness import subject
from mlsbench.harness.data import DamagedData, load
from mlsbench.harness.job import run
from mlsbench.harness.plan import Job, Machine, plan
from mlsbench.harness.prepare import prepare
from mlsbench.harness.split import read_key
from mlsbench.harness.standin import purchase_standin
from mlsbench.harness.variant import variant
from mlsbench.scoring.record import Entry, Record, read_record
from mlsbench.tasks import TaskFolder, baseline_path, get_task, open_task, read_submission

pytestmark = pytest.mark.slow

TASK = get_task("security-membership-inference-defense")
MODELS = {  # and the height of the images that are enough for them
    "alexnet": 32, "densenet_bc_100_12": 8, "mlp": 8, "mlp_dropout": 8, "resnet110": 8, "resnet20_dropout": 8,
    "shokri_cnn": 8, "tabular": 8, "vgg16": 32,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TaskFolder:
    """The task with a protocol of all models on digits, and one of a user's own table."""
    folder = Path(shutil.copytree(TASK.path, tmp_path_factory.mktemp("tasks") / TASK.spec.id))
    benchmarks = [
        f'[benchmarks.{name}-digits]\nmodel = "{name}"\ndataset = "digits"\nsize = {size}\ncpu_ms = 1\ngpu_mib = 1000\n'
        for name, size in MODELS.items()
    ]
    names = ", ".join(f'"{name}-digits"' for name in MODELS)
    values = 'epochs = 1, lr = 0.01, schedule = "steps", weight_decay = 0.0, batch = 16, augment = false'
    more = f"""
[protocols.models]
title = "all models"
benchmarks = [{names}]
seeds = [42]
members = 64
training = {{ {values} }}

[protocols.own]
title = "a table"
benchmarks = ["tabular-own"]
seeds = [42]
members = 64
training = {{ optimizer = "adam", {values} }}

[benchmarks.tabular-own]
model = "tabular"
dataset = "own"
size = 1
cpu_ms = 1
gpu_mib = 1000

[datasets.own]
shape = [1, 600, 1]
classes = 100
train = 1920
test = 480
mean = [0.0]
std = [0.00392156862745098]
"""
    with (folder / "task.toml").open("a") as file:
        file.write("\n".join([*benchmarks, more]))
    return open_task(folder)


def planned(task: TaskFolder, protocol: str, benchmark: str, runs: Path) -> Job:
    submission = read_submission(baseline_path(TASK.spec.id, "erm"), task)
    entry = Entry(name="erm", type="agent", submission=submission.sha256)
    machine = Machine("process", "cpu", "fp32", 1)
    chosen = variant(task.spec, protocol)
    (job,) = plan(task, submission, entry, chosen, machine, read_key("public"), runs, [benchmark], [42])
    return job


def done(job: Job) -> Record:
    run(job, lambda event: None, time.monotonic())
    return read_record(job.folder / "record.json")


@pytest.mark.parametrize("name", MODELS)
def test_a_model_trains_in_a_job_like_any_other(name: str, task: TaskFolder, tmp_path: Path) -> None:
    job = planned(task, "models", f"{name}-digits", tmp_path)
    record = done(job)
    assert record.status in ("scored", "collapsed"), record.reason
    assert (record.setting.model, record.training["batches"], record.training["step"]) == (name, 4, "eager")
    kept = np.load(job.folder / "scores.npz")
    assert kept["train_logits"].shape == (128, 10)
    assert np.isfinite(kept["train_logits"]).all()


def own(folder: Path, labels: int = 0) -> Path:
    """The stand-in as a user's own file, its classes numbered from another on."""
    arrays = SimpleNamespace(**purchase_standin())
    rows = np.concatenate([arrays.train_images, arrays.test_images])[:, 0, :, 0]
    classes = (np.concatenate([arrays.train_labels, arrays.test_labels]) + labels) % 100
    np.savez(folder / "mine.npz", features=rows, labels=classes)
    return folder / "mine.npz"


def test_a_job_on_a_users_table_is_about_the_data_that_were_read(
    task: TaskFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSBENCH_DATA", str(tmp_path))
    dataset = task.spec.datasets["own"]
    with pytest.raises(UserError, match=r"dataset own is not prepared: .*`mlsbench data prepare own --from FILE\.npz`"):
        planned(task, "own", "tabular-own", tmp_path / "runs")
    prepare("own", dataset, tmp_path, own(tmp_path))
    job = planned(task, "own", "tabular-own", tmp_path / "runs")
    assert job.setting.data == load("own", dataset, tmp_path).whole
    standin = TASK.spec.datasets["purchase_standin"]
    assert job.spec.datasets["own"] == standin  # same examples: what was read has the fingerprints of the catalogue
    assert done(job).status in ("scored", "collapsed")

    prepare("own", dataset, tmp_path, own(tmp_path, labels=1))
    assert planned(task, "own", "tabular-own", tmp_path / "runs").setting.data != job.setting.data
    with pytest.raises(DamagedData, match="the train split has fingerprint"):  # the first job would not take these
        subject.prepare(job)
