"""The process beside a job in containers: starts the trainer's, and workers' when it asks, and sees all of them off.

To the engine of jobs it is what `mlsbench.harness.job` is: it takes the same job on standard input, ends when that
ends, and passes on the trainer's news, standard error and exit status. Exit status 3 means that the Docker engine, or
something else between us and the trainer, failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from mlsbench.harness.job import MACHINE_FAILED
from mlsbench.harness.plan import Job
from mlsbench.sandbox.channel import SandboxError
from mlsbench.sandbox.container import Container, make_folder
from mlsbench.sandbox.docker import SETTLING_SECONDS, Docker, Trainer, end_worker
from mlsbench.sandbox.engine import EngineError

STOPPED = 130
ENGINE_SECONDS = 30  # that an engine has to come back before a job begins
JOB, DATA, CHANNELS, MODELS = "/job", "/data", "/channels", "/models"
PASSED_ON = ("GOMP_SPINCOUNT", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG")


def main() -> None:
    """Run the job that stands on standard input's first line, in containers; exits with the trainer's status."""
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)  # heard through the descriptor, between two calls of the engine
    job = Job.model_validate_json(sys.stdin.buffer.readline())
    try:
        status = Supervisor(job).run(woken)
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        status = MACHINE_FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a thread may still wait for the end of standard input


class Supervisor:
    """One job's containers."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._docker = Docker(job.runtime, job.setting.torch)
        self._workers: dict[int, Container] = {}
        self._stopped = threading.Event()

    def run(self, woken: socket.socket) -> int:
        """Run the job; its exit status. Nothing of it is left afterwards. Raises EngineError or ImageError."""
        self._wait_for_engine()
        self._folder = make_folder()
        try:
            trainer = self._start_trainer()
            try:
                threading.Thread(target=self._stop_with_parent, args=(woken, trainer), daemon=True).start()
                return self._follow(trainer)
            finally:
                self._remove_all(trainer)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _wait_for_engine(self) -> None:
        """An earlier attempt may have ended with the engine, which is perhaps starting again."""
        deadline = time.monotonic() + (ENGINE_SECONDS if self._job.attempt > 1 else 0)
        while True:
            try:
                left = self._docker.sweep()
            except EngineError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                if left.stuck:
                    sys.stderr.write(f"{left.stuck} containers of dead processes could not be removed\n")
                return

    def _start_trainer(self) -> Trainer:
        job = self._job
        device, _, number = job.device.partition(":")
        folders = {JOB: (job.folder, "rw"), CHANNELS: (self._folder, "rw")}
        name = f"{job.spec.benchmarks[job.setting.benchmark].dataset}.npz"
        if (job.data / name).is_file():
            folders[f"{DATA}/{name}"] = ((job.data / name).resolve(), "ro")  # a link's end is not in the container
        models: list[Job] = []
        for model in job.models:  # an attack reads what was kept of them, trains nothing and needs no GPU
            place = Path(MODELS, str(len(models)))
            folders[str(place)] = (model.folder, "ro")
            models.append(model.model_copy(update={"folder": place}))
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        inside = {
            "folder": Path(JOB), "data": Path(DATA), "device": device if device == "cpu" else f"{device}:0",
            "models": tuple(models),
        }  # fmt: skip
        command = ["-m", "mlsbench.harness.job", CHANNELS, f"{_umask():o}"]
        gpu = gpu_name(int(number)) if number and not job.models else None
        trainer = self._docker.start_trainer(command, environment, gpu, folders)
        trainer.send(job.model_copy(update=inside).model_dump_json().encode() + b"\n")
        return trainer

    def _follow(self, trainer: Trainer) -> int:
        """Grant the trainer's wishes and pass on its news until it ends; its exit status."""
        for line in trainer.lines(sys.stderr.buffer):
            event = json.loads(line)
            if "wish" in event:
                self._grant(event["wish"], trainer)
            else:
                sys.stdout.buffer.write(line + b"\n")
                sys.stdout.buffer.flush()
        if self._stopped.is_set():
            return STOPPED
        state = trainer.container.wait(ENGINE_SECONDS)
        if state.running:
            raise EngineError("the trainer's container was left running")
        if state.status > 128:
            time.sleep(SETTLING_SECONDS)
            raise EngineError(f"the trainer's container {trainer.container.state().ending()}")
        return state.status

    def _grant(self, wish: dict[str, Any], trainer: Trainer) -> None:
        if "start" in wish:
            number = int(wish["start"])
            self._workers[number] = self._docker.start_worker(self._folder / str(number), wish["setup"])
            return  # the trainer goes on meanwhile and waits for no answer
        if "running" in wish:
            answer: bool | str = self._workers[int(wish["running"])].state().running
        else:
            # What ends worker and trainer at once, such as the engine's own end, leaves nobody to hear this answer.
            answer = end_worker(self._workers.pop(int(wish["end"])), float(wish["patience"]))
        trainer.send(json.dumps(answer).encode() + b"\n")

    def _stop_with_parent(self, woken: socket.socket, trainer: Trainer) -> None:
        """When standard input ends or somebody wants us to go, end the trainer: `_follow` ends with it."""
        select.select([sys.stdin.fileno(), woken.fileno()], [], [])
        self._stopped.set()
        trainer.hang_up()

    def _remove_all(self, trainer: Trainer) -> None:
        """Remove every container, though the removal of another one fails."""
        with contextlib.ExitStack() as stack:
            for worker in self._workers.values():
                stack.callback(worker.remove)
            stack.callback(trainer.close)


def _umask() -> int:
    """The mask of permissions that files of this process get, and those of the job shall get, too."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def gpu_name(number: int) -> str:
    """What the engine calls the GPU that this process's CUDA calls by that number."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[number].strip() if visible else str(number)


if __name__ == "__main__":
    main()
