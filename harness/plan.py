"""The plan: every job of a command as data, with the key that tells whether it has been done before."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlsbench import UserError
from mlsbench.harness.data import BUILT_IN, data_folder, digest_of, identified
from mlsbench.harness.frozen import frozen_digest
from mlsbench.harness.split import SplitKey
from mlsbench.harness.variant import Variant
from mlsbench.scoring.layout import job_folder, target_folder
from mlsbench.scoring.record import TARGETS, Entry, Record, Setting, read_record
from mlsbench.tasks import Dataset, Submission, Task, TaskFolder, Training, target_of
from mlsbench.tasks.spec import half_of_a_pair

FINISHED = ("scored", "collapsed", "failed", "rejected")
ATTACK_MS = 5000  # of an attack, roughly: most of it is the start of processes
LONG_SECONDS = 1800  # on a CPU, beyond which nobody should start by accident


class Job(BaseModel):
    """Everything that one job needs, so that it can run in any process on any machine that has the data.

    It holds the split key: it travels over a pipe and is never written to disk. `threads` and `gpu`, its share of one,
    are what an engine needs to place it. `models`, for an attack, are the jobs that train what it is run on, the target
    first and then the references, without their key: `Launch` runs them before.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", hide_input_in_errors=True)

    spec: Task
    measure: str
    entry: Entry
    setting: Setting
    training: Training
    members: int | None
    canaries: int = 0
    submission: bytes
    text: str
    shift: int = 0
    key: bytes
    device: str
    deterministic: bool
    threads: int
    gpu: float = 0.0
    runtime: str | None = None
    folder: Path
    data: Path
    attempt: int = 1
    models: tuple[Job, ...] = ()

    @property
    def label(self) -> str:
        """The job's name for people."""
        return f"{self.setting.benchmark} seed {self.setting.seed}"

    @property
    def attacked(self) -> bool:
        """Whether it trains a model for attacks to be run on, of which several commands may have need at once."""
        return TARGETS in self.folder.parts[-3:]

    @property
    def cpu_ms(self) -> float:
        """Milliseconds that two CPU cores take to train, by the specification's rough estimates."""
        if self.models:
            return ATTACK_MS
        return self.spec.benchmarks[self.setting.benchmark].cpu_ms * self.member_count * self.training.epochs

    @property
    def member_count(self) -> int:
        """How many examples the model is trained on."""
        return self.members or self.spec.most_members(self.setting.benchmark)

    @property
    def poisoned(self) -> int:
        """How many of these are trained with a poisoned label."""
        return round(self.spec.poison.get(self.setting.benchmark, 0) * self.member_count)

    def finished(self) -> Record | None:
        """The record of this very job if it is there and final."""
        path = self.folder / "record.json"
        if not path.exists():
            return None
        record = read_record(path)
        return (
            record
            if record.job_key == self.setting.job_key(self.entry.submission) and record.status in FINISHED
            else None
        )


@dataclass(frozen=True)
class Machine:
    """Where and how jobs run: resolved choices of sandbox, device and precision.

    `torch` is the version in the sandbox, that of this process if it is empty; `runtime` is the containers'; `shares`
    says what part of a GPU a job of a benchmark takes.
    """

    sandbox: str
    device_kind: str
    precision: Literal["fp32", "bf16"]
    threads: int
    deterministic: bool = False
    torch: str = ""
    runtime: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)


def plan(
    task: TaskFolder,
    submission: Submission,
    entry: Entry,
    chosen: Variant,
    machine: Machine,
    key: SplitKey,
    runs: Path,
    benchmarks: Sequence[str],
    seeds: Sequence[int],
) -> list[Job]:
    """The jobs of one entry, all seeds of a benchmark before the next: of a growing table each line is complete early.

    Raises UserError if a pool size does not fit, if a seed is of a pair of the references', or if data that only
    reading identifies are not there.
    """
    models = _models(task, chosen, machine, key, runs, benchmarks, seeds)
    frozen, torch_version, data = frozen_digest(task), machine.torch or version("torch"), data_folder()
    measure = task.measure()
    jobs = []
    for benchmark in benchmarks:
        training = chosen.trainings[benchmark]
        name = task.spec.benchmarks[benchmark].dataset
        _check_pool(task.spec, benchmark, training, chosen)
        dataset = identified(name, task.spec.datasets[name], data)
        spec = task.spec.model_copy(update={"datasets": task.spec.datasets | {name: dataset}})
        model = spec.model(benchmark, entry.name if entry.type == "baseline" else None)
        for seed in seeds:
            setting = Setting(
                task=task.spec.id, task_version=task.spec.version, frozen=frozen, benchmark=benchmark, model=model,
                protocol=chosen.name, seed=seed, split_key=key.digest, sandbox=machine.sandbox,
                device_kind=machine.device_kind, precision=machine.precision, torch=torch_version,
                data=data_digest(dataset),
            )  # fmt: skip
            jobs.append(
                Job(
                    spec=spec,
                    measure=measure,
                    entry=entry,
                    setting=setting,
                    training=training,
                    members=chosen.members,
                    canaries=chosen.canaries,
                    submission=submission.data,
                    text=submission.text,
                    shift=submission.shift,
                    key=key.secret,
                    device=machine.device_kind,
                    deterministic=machine.deterministic,
                    threads=machine.threads,
                    gpu=0.0 if models else machine.shares.get(benchmark, 0.0),
                    runtime=machine.runtime,
                    folder=job_folder(runs, setting, entry).absolute(),
                    data=data,
                    models=tuple(models[benchmark, s] for s in (seed, *chosen.references)) if models else (),
                )
            )
    return jobs


def _models(
    task: TaskFolder, chosen: Variant, machine: Machine, key: SplitKey, runs: Path, benchmarks: Sequence[str],
    seeds: Sequence[int],
) -> dict[tuple[str, int], Job]:  # fmt: skip
    """The jobs that train an attack's targets and references, by benchmark and seed; none for a loss."""
    target = target_of(task)
    if target is None:
        return {}
    if (half := half_of_a_pair(seeds)) is not None:
        raise UserError(
            f"--seed {half} and --seed {half ^ 1}: are one pair, whose members are each other's non-members, and no "
            f"two targets of one command may be; take seeds of different pairs, such as {half & ~1} and {half & ~1 ^ 2}"
        )
    if shared := [seed for seed in seeds if {seed, seed ^ 1} & set(chosen.references)]:
        names = ", ".join(map(str, chosen.references))
        raise UserError(f"--seed {shared[0]}: is of the pair of a reference, which would tell its members: {names}")
    entry = Entry(name=target.name, type="baseline", submission=target.submission.sha256)
    wanted = tuple(dict.fromkeys((*seeds, *chosen.references)))
    jobs = plan(target.task, target.submission, entry, chosen, machine, key, runs, benchmarks, wanted)

    def folder(setting: Setting) -> Path:
        return target_folder(runs, setting, entry, machine.threads, machine.deterministic)

    return {
        (job.setting.benchmark, job.setting.seed): job.model_copy(
            update={"key": b"", "folder": folder(job.setting).absolute()}
        )
        for job in jobs
    }


def data_digest(dataset: Dataset) -> str:
    """What records call `data`: SHA-256 over the fingerprints of the whole dataset's splits."""
    if dataset.train_fingerprint is None or dataset.test_fingerprint is None:
        raise ValueError("of data without fingerprints it is not known beforehand which they are")
    return digest_of(dataset.train_fingerprint, dataset.test_fingerprint)


def require_data(jobs: Iterable[Job]) -> None:
    """Raises UserError, with the command that helps, unless the datasets of all `jobs` are prepared."""
    # Tables are not among the missing: without its data nothing about a table can be planned.
    used = {job.spec.benchmarks[job.setting.benchmark].dataset: job.data for job in jobs}
    missing = [n for n, folder in used.items() if n not in BUILT_IN and not (folder / f"{n}.npz").exists()]
    if missing:
        names, command = ", ".join(missing), f"mlsbench data prepare {' '.join(missing)}"
        raise UserError(f"not prepared in {used[missing[0]]}: {names}. Run `{command}`, or try --protocol smoke.")


def cpu_seconds(jobs: Iterable[Job]) -> float:
    """Roughly how long `jobs` take one after another on this machine's cores, from the times measured on two."""
    return sum(job.cpu_ms for job in jobs) / 1000 * 2 / max(os.cpu_count() or 1, 1)


def duration(seconds: float) -> str:
    """As "40 s", "12 min" or "3.3 hours"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


def _check_pool(spec: Task, benchmark: str, training: Training, chosen: Variant) -> None:
    most, members, canaries = spec.most_members(benchmark), chosen.members, chosen.canaries
    if members is not None and members > most:
        raise UserError(f"--override members={members}: {benchmark} has room for {most}")
    size = members or most
    if size % training.batch == 1:  # batch norm has no variance of one image
        raise UserError(f"{benchmark}: {size} members in batches of {training.batch} leave a last batch of one image")
    if canaries >= size:  # so that there are honest members and honest non-members, whatever the key
        raise UserError(f"canaries={canaries}: {benchmark} has {size} members, and canaries must be fewer than these")
    if poison := spec.poison.get(benchmark):
        if canaries:
            raise UserError(f"canaries={canaries}: labels of {benchmark} are poisoned, and a task has one or the other")
        if not 0 < round(poison * size) < size:
            raise UserError(
                f"{benchmark}: of {size} members {round(poison * size)} would be poisoned; take more members"
            )
