"""From options to finished jobs: resolved against a task and this machine, planned, run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from mlsbench import UserError
from mlsbench.harness.device import named, room
from mlsbench.harness.engine import Engine, Event, Listener
from mlsbench.harness.frozen import frozen_digest
from mlsbench.harness.local import LocalEngine
from mlsbench.harness.packing import Room, pack
from mlsbench.harness.plan import LONG_SECONDS, Job, Machine, cpu_seconds, duration, plan, require_data
from mlsbench.harness.session import choose_sandbox
from mlsbench.harness.split import SplitKey, read_key
from mlsbench.harness.variant import Variant, variant
from mlsbench.scoring import Column, Entry, Plan, Stored
from mlsbench.scoring.record import RECORD_FILE, Group
from mlsbench.tasks import Submission, SubmissionRejected, Task, TaskFolder


@dataclass(frozen=True)
class Options:
    """The options of commands that train, as they were given."""

    protocol: str | None
    benchmarks: Sequence[str]
    seeds: Sequence[int]
    key: str
    sandbox: str
    runtime: str | None
    device: str
    deterministic: bool
    engine: str
    jobs: int
    runs: Path
    overrides: Sequence[str]
    threads: int | None = None  # of each job; by default as many as `jobs` at once leave it


class Launch:
    """Options resolved against a task and this machine. Raises UserError for what does not fit.

    note: what the user should know of the choices, perhaps empty.
    """

    def __init__(self, task: TaskFolder, options: Options) -> None:
        self.task, self.runs = task, options.runs
        self.variant: Variant = variant(task.spec, options.protocol, options.overrides)
        self.benchmarks = chosen_of("benchmark", options.benchmarks, self.variant.benchmarks)
        if not all(0 <= seed < 1 << 63 for seed in options.seeds):
            raise UserError("--seed: give a whole number from 0 to 2⁶³ − 1")
        self.seeds = tuple(dict.fromkeys(options.seeds)) or self.variant.seeds
        self.key: SplitKey = read_key(options.key)
        self._device = options.device
        self._on_ray, self._jobs = options.engine == "ray", options.jobs
        rooms = _cluster_rooms(options.device) if self._on_ray else [room(options.device)]
        self._devices = named(options.device, rooms[0])
        kind = self._devices[0].partition(":")[0]
        self._packing = pack(rooms, {b: task.spec.benchmarks[b].gpu_mib for b in self.benchmarks}, options.jobs)
        precision = self.variant.precision
        sandbox = choose_sandbox(options.sandbox, options.runtime)
        self.note = sandbox.note
        self._machine = Machine(
            sandbox=sandbox.name,
            device_kind=kind,
            precision=("bf16" if kind == "cuda" else "fp32") if precision == "auto" else precision,
            threads=options.threads or self._packing.threads,
            shares=self._packing.shares,
            deterministic=options.deterministic,
            torch=sandbox.torch,
            runtime=options.runtime,
        )

    def plan(self, entries: Iterable[tuple[Entry, Submission]]) -> list[Job]:
        """The jobs of all entries. UserError if data are missing or the CPU would take longer than anybody can mean."""
        jobs = [
            job
            for entry, submission in entries
            for job in plan(
                self.task,
                submission,
                entry,
                self.variant,
                self._machine,
                self.key,
                self.runs,
                self.benchmarks,
                self.seeds,
            )
        ]
        waiting = [job for job in jobs if not job.finished()]
        waiting += _models(waiting)
        if self._device == "auto" and self._devices == ["cpu"]:
            seconds = cpu_seconds(waiting)
            if seconds > LONG_SECONDS:
                raise UserError(
                    f"there is no GPU here, and protocol {self.variant.name} would take about {duration(seconds)} on "
                    f"this CPU. Try --protocol smoke, fewer --benchmark and --seed, or --override epochs=N "
                    f"--override members=M; --device cpu goes on regardless."
                )
        if not self._on_ray:  # whose nodes have data of their own
            require_data(waiting)  # after the estimate: nobody shall download data for what cannot be
        return jobs

    def run(self, jobs: Sequence[Job], engine: Engine | None = None) -> list[Stored]:
        """Run those of `jobs` that are not finished, and before them the models that they attack, if these are not;
        the records of all jobs, in their order.

        engine: one of `engine()`, for who wants to stop it.
        """
        finished = [job.finished() for job in jobs]
        waiting = self._without_rejected([job for job, record in zip(jobs, finished, strict=True) if record is None])
        models, runner = _models(waiting), engine or self.engine()
        try:
            with self.listening([*models, *waiting], len(models) + len(jobs)) as listener:
                if models:
                    runner.run(models, listener)
                ran = iter(runner.run(waiting, listener))
        except BrokenPipeError:
            raise
        except OSError as error:
            where = error.filename or self.runs
            raise UserError(f"{where}: {error.strerror}; --runs must name a folder with room to write") from error
        pairs = zip(jobs, finished, strict=True)
        return [Stored(job.folder / RECORD_FILE, record) if record else next(ran) for job, record in pairs]

    def _without_rejected(self, waiting: Sequence[Job]) -> list[Job]:
        """The `waiting` jobs; what the probe would reject attacks nothing, so that no model is trained for it."""
        from mlsbench.harness.check import check  # imports torch, for which nobody else here has to wait

        refused = {}
        for job in waiting:
            digest = job.entry.submission
            if job.models and digest not in refused:
                candidate = Submission(job.text, digest, job.submission, job.shift)
                try:
                    check(job.spec, candidate, self.variant, self._machine.sandbox, self._machine.runtime)
                    refused[digest] = False
                except SubmissionRejected:
                    refused[digest] = True
        return [job.model_copy(update={"models": ()}) if refused.get(job.entry.submission) else job for job in waiting]

    def listening(self, waiting: Sequence[Job], planned: int) -> AbstractContextManager[Listener]:
        """Who hears what becomes of the `waiting` jobs of all `planned`: nobody here."""
        return nullcontext(_silent)

    def engine(self) -> Engine:
        """An engine for these options, which runs one plan."""
        if not self._on_ray:
            return LocalEngine(self._devices, self._packing.parallel)
        from mlsbench.harness.ray_engine import RayEngine

        return RayEngine(self._jobs)

    def group(self) -> Group:
        """What the settings of these jobs agree in."""
        spec, machine = self.task.spec, self._machine
        frozen = frozen_digest(self.task)
        return Group(spec.id, spec.version, frozen, self.variant.name, self.key.digest, machine.precision)

    def table_plan(self) -> Plan:
        """What this command's table is about: its benchmarks and seeds."""
        return Plan(self.benchmarks, self.seeds, columns(self.task.spec, self.variant.canaries))


def columns(spec: Task, canaries: int = 0) -> tuple[Column, ...]:
    """The metrics of `spec` as columns of a table, what the audit makes of the last of them, and that of canaries."""
    found = [Column(m.name, m.title, m.direction, m.primary) for m in spec.metrics]
    if spec.audited:
        found.append(Column("audited_score", "audited score", "max", audit=True))
    if canaries:
        found.append(Column("canary_auc", "canary auc", "min", audit=True))
    return tuple(found)


def chosen_of(what: str, asked: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `known` that are asked for, all if none is. UserError, naming the option `what`, for any other."""
    for name in asked:
        if name not in known:
            raise UserError(f"--{what} {name}: this protocol has {', '.join(known)}")
    return tuple(name for name in known if name in asked) or known


def _models(waiting: Sequence[Job]) -> list[Job]:
    """The jobs, not finished, that train what the `waiting` ones attack."""
    wanted = {model.folder: model.model_copy(update={"key": job.key}) for job in waiting for model in job.models}
    return [model for model in wanted.values() if not model.finished()]


def _silent(event: Event) -> None:
    """Nobody listens."""


def _cluster_rooms(choice: str) -> list[Room]:
    from mlsbench.harness.cluster import rooms

    return rooms(choice)
