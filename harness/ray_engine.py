"""The Ray engine: the same jobs in the same processes as the local one's, on the nodes of a Ray cluster.

A Ray task stands beside each job's process as the local engine does and never touches a candidate: it gets the job as
text, starts the process in a folder of its node's own, and hands its news and in the end its files back.
"""

from __future__ import annotations

import queue
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsbench import MachineError, UserError
from mlsbench.harness.attempt import Attempt
from mlsbench.harness.cluster import close, connect, nodes
from mlsbench.harness.data import data_folder
from mlsbench.harness.engine import STOP_SECONDS, Engine, Event, Listener, StoppedError
from mlsbench.harness.frozen import code_digest
from mlsbench.harness.job import free_name
from mlsbench.harness.plan import Job, require_data
from mlsbench.sandbox.backend import installed_torch
from mlsbench.sandbox.choose import backend
from mlsbench.sandbox.container import make_folder, sweep_folders
from mlsbench.scoring.kept import SCORES
from mlsbench.scoring.record import RECORD_FILE, Record, Stored, write_whole

if TYPE_CHECKING:
    from ray import ObjectRefGenerator

IN_FLIGHT = 256  # jobs that Ray knows of at once; those beyond the cluster's room wait in its queue
POLL_SECONDS = 0.1  # a cancelled task hears of it between two waits
LOGS = ("worker.log", "job.log")
NUMBERS = ("submission.py", "curve.csv", "scores.npz", "weights.safetensors", RECORD_FILE)  # the record comes last
WORDS = {
    "NodeDiedError": "its node died, or was cut off",
    "WorkerCrashedError": "Ray's process beside it was killed",
    "OutOfMemoryError": "Ray ended it, because its node had no memory left",
}
Message = tuple[Any, ...]  # ("start", node's id, its name), ("news", data), ("mistake", text), ("end", reason, files)


class RayEngine(Engine):
    """Runs jobs on the cluster that `connect` finds, `parallel` at once at most; `command` stands in for a job's
    process."""

    def __init__(self, parallel: int = 0, command: Sequence[str] = ()) -> None:
        super().__init__(parallel or IN_FLIGHT)
        self._command, self._code = list(command), code_digest()
        self._running: set[ObjectRefGenerator] = set()
        self._lock = threading.Lock()
        self._task: Any = None
        self._tried: dict[Path, set[str]] = {}  # nodes that failed a job

    def run(self, jobs: Sequence[Job], listener: Listener) -> list[Stored]:
        """As every engine; the connection is closed at the end. Raises MachineError if no node could hold a job."""
        import ray

        connect()
        self._task = ray.remote(num_returns="streaming", max_retries=0)(attempt_here)
        for threads, gpu in {(job.threads, job.gpu) for job in jobs}:
            if not any(_holds(node, threads, gpu) for node in nodes()):
                raise MachineError(f"no node of the Ray cluster has {threads} CPUs and {gpu:g} GPU, which a job takes")
        places: dict[Path, str] = {}

        def listen(event: Event) -> None:
            if event.kind == "start":
                places[event.job.folder] = event.job.device
            device = places.get(event.job.folder, event.job.device)
            listener(replace(event, job=event.job.model_copy(update={"device": device})))

        try:
            return super().run(jobs, listen)
        finally:
            close()

    def _attempt(self, job: Job, listener: Listener) -> str | None:
        import ray

        stream, where = self._submit(job), "before it started"
        try:
            for reference in stream:
                kind, *content = ray.get(reference)
                if kind == "start":
                    node, where = content
                    self._tried.setdefault(job.folder, set()).add(node)
                    listener(Event("start", job.model_copy(update={"device": where}), {"attempt": job.attempt}))
                elif kind == "news":
                    listener(Event("epoch", job, content[0]))
                elif kind == "mistake":
                    raise UserError(content[0])
                else:
                    reason, files = content
                    _bring_home(job, files)
                    return reason and f"{where}: {reason}"
            reason = "its task ended without a word"
        except ray.exceptions.RayError as error:
            reason = _explained(error)
        except BaseException:
            ray.cancel(stream)
            raise
        finally:
            with self._lock:
                self._running.discard(stream)
        if self._stopped:
            raise StoppedError
        return f"{where}: {reason}"

    def _submit(self, job: Job) -> ObjectRefGenerator:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = self._task.options(num_cpus=job.threads, num_gpus=job.gpu)
        tried = self._tried.get(job.folder, set())
        others = [n["NodeID"] for n in nodes() if n["NodeID"] not in tried and _holds(n, job.threads, job.gpu)]
        if tried and others:
            elsewhere = others[job.attempt % len(others)]
            there = NodeAffinitySchedulingStrategy(elsewhere, soft=True)
            task = self._task.options(num_cpus=job.threads, num_gpus=job.gpu, scheduling_strategy=there)
        # The key apart: small arguments travel in the message, larger ones lie in Ray's store, which may go to disk.
        text = job.model_copy(update={"key": b""}).model_dump_json()
        kept = [(model.folder / SCORES).read_bytes() for model in job.models]
        with self._lock:
            if self._stopped:
                raise StoppedError
            stream: ObjectRefGenerator = task.remote(text, job.key, self._code, self._command, kept)
            self._running.add(stream)
        return stream

    def _end_all(self) -> None:
        import ray

        with self._lock:
            running = list(self._running)
        for stream in running:
            ray.cancel(stream)
        deadline = time.monotonic() + STOP_SECONDS
        while self._running and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        for stream in list(self._running):
            ray.cancel(stream, force=True)  # with its worker goes the standard input of the job's process


def attempt_here(text: str, key: bytes, code: str, command: list[str], kept: list[bytes]) -> Iterator[Message]:
    """One attempt at a job, on the node where this runs; what leaves it is plain text, numbers and bytes.

    kept: of each model that the job attacks, what was kept of its outputs.
    """
    import ray

    context, name = ray.get_runtime_context(), socket.gethostname()
    gpus = context.get_accelerator_ids().get("GPU", [])
    yield "start", context.get_node_id(), f"{name} GPU {gpus[0]}" if gpus else name
    sweep_folders()
    folder = make_folder()
    try:
        job = Job.model_validate_json(text)
        job = job.model_copy(update={
            "key": key, "folder": folder / "job", "data": data_folder(),
            "device": "cuda:0" if job.setting.device_kind == "cuda" else "cpu",
        })  # fmt: skip
        _check(job, code)
        job.folder.mkdir()
        job = job.model_copy(update={"models": tuple(_models(job, kept, folder))})
        yield from _run(job, command)
    except UserError as error:
        yield "mistake", f"on node {name}: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _models(job: Job, kept: list[bytes], folder: Path) -> Iterator[Job]:
    """The models of an attack `job`, with what was `kept` of them in folders of this node below `folder`."""
    for number, (model, scores) in enumerate(zip(job.models, kept, strict=True)):
        place = folder / f"model-{number}"
        place.mkdir()
        (place / SCORES).write_bytes(scores)
        yield model.model_copy(update={"folder": place})


def _check(job: Job, code: str) -> None:
    """Raises UserError unless this node gives the same numbers as the machine that planned the job."""
    if code != code_digest():
        raise UserError("another version of mlsbench is installed; install the one that runs the command")
    sandbox, wanted = job.setting.sandbox, job.setting.torch
    contained = sandbox != "inprocess" and backend(sandbox).holds_trainer
    if not contained and installed_torch() != wanted:
        raise UserError(f"torch {installed_torch()} is installed, and the plan is for {wanted}")
    require_data([job])


def _run(job: Job, command: list[str]) -> Iterator[Message]:
    heard: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()

    def listen() -> None:
        try:
            for news in attempt.news():
                heard.put(news)
            heard.put(None)
        except BaseException as error:
            heard.put(error)

    with Attempt(job, command) as attempt:
        threading.Thread(target=listen, daemon=True).start()
        try:
            while True:
                try:
                    one = heard.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    continue
                if one is None:
                    break
                if isinstance(one, BaseException):
                    raise one
                yield "news", one
        except BaseException:  # cancelled, most likely
            attempt.hang_up()
            attempt.end(time.monotonic() + STOP_SECONDS)
            raise
    reason = attempt.failure()
    names = LOGS if reason else LOGS + NUMBERS
    yield "end", reason, {n: (job.folder / n).read_bytes() for n in names if (job.folder / n).is_file()}


def _bring_home(job: Job, files: dict[str, bytes]) -> None:
    """Write what a node sent into the job's folder, the record last. Earlier attempts' logs stay."""
    for name in LOGS:
        if name in files:
            free_name(job.folder / name).write_bytes(files[name])
    if RECORD_FILE in files:
        record = Record.model_validate_json(files[RECORD_FILE])
        if record.job_key != job.setting.job_key(job.entry.submission):
            raise MachineError(f"a node sent the record of another job for {job.label}")
    for name in NUMBERS:
        if name in files:
            write_whole(job.folder / name, files[name])


def _holds(node: dict[str, Any], threads: int, gpu: float) -> bool:
    has = node["Resources"]
    return bool(has.get("CPU", 0) >= threads and has.get("GPU", 0) >= gpu)


def _explained(error: Exception) -> str:
    """In one line what Ray says of a task that did not end by itself."""
    kind = type(error).__name__
    if kind in WORDS:
        return WORDS[kind]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return f"{kind}: {lines[-1] if kind.startswith('RayTaskError') else lines[0]}"
