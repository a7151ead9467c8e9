"""The `docker` backend: a worker's container has the channel alone, the trainer's its job's folder and the data."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mlsbench.sandbox import image
from mlsbench.sandbox.backend import ENVIRONMENT, PYTHON, Tree, worker_arguments
from mlsbench.sandbox.channel import SandboxError
from mlsbench.sandbox.container import Container, Left, make_folder, sweep
from mlsbench.sandbox.engine import connect, explained
from mlsbench.sandbox.meeting import NAME, Meeting, MetTree

if TYPE_CHECKING:
    from docker import APIClient, DockerClient

INTERPRETER = "/opt/venv/bin/python"
NOBODY = "65534:65534"
CHANNEL = "/channel"
WORKER_BYTES = 1 << 30  # of a worker's memory for Python, torch and what its limit does not count
RUNTIME_THREADS = 256  # of a runtime with a kernel of its own, such as gVisor, which count as the worker's
TRAINER_SHARED_BYTES = 1 << 30
SETTLING_SECONDS = 1  # from a container's end until all that belongs to it is known
LOG_BYTES = 1 << 16
LOG: dict[str, Any] = {"Type": "json-file", "Config": {"max-size": str(LOG_BYTES), "max-file": "1"}}


class Docker:
    """Workers in containers, by the engine of this machine.

    `runtime` is one that the engine knows, such as runsc. All containers are of one image, whatever is built meanwhile;
    with `torch` it must hold that version.
    """

    name = "docker"
    namespaces = capped = holds_trainer = True
    root = "/opt/mlsbench"

    def __init__(self, runtime: str | None = None, torch: str | None = None) -> None:
        self.runtime, self._torch = runtime, torch
        self._image = ""

    def unavailable(self) -> str | None:
        try:
            client = connect()
            with explained():
                runtimes = client.info().get("Runtimes") or {}
            state = image.inspect(client)
        except SandboxError as error:
            return str(error)
        if self.runtime is not None and self.runtime not in runtimes:
            return f"Docker has no runtime named {self.runtime}; it has {', '.join(sorted(runtimes))}"
        return state.problem or None

    def torch(self) -> str:
        return image.inspect(connect()).torch

    def start(self, setup: str, log: io.FileIO) -> Tree:
        folder = make_folder()
        meeting = Meeting(folder / "0")
        try:
            container = self.start_worker(folder / "0", setup)
        except BaseException:
            meeting.close()
            shutil.rmtree(folder)
            raise

        def end(patience: float) -> str:
            try:
                return end_worker(container, patience)
            finally:
                shutil.rmtree(folder)

        return MetTree(meeting, log, end, lambda: container.state().running)

    def start_worker(self, channel: Path, setup: str) -> Container:
        """Start a worker that comes to the meeting in the folder `channel`. Raises EngineError or ImageError."""
        from docker.types import Mount, Ulimit

        client = connect()
        memory = WORKER_BYTES + int(json.loads(setup)["memory_bytes"])
        command = [
            "/usr/bin/env", "-i", *(f"{k}={v}" for k, v in ENVIRONMENT.items()), INTERPRETER, *PYTHON,
            *worker_arguments(self.root, f"{CHANNEL}/{NAME}", setup),
        ]  # fmt: skip
        host = {
            "read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "ipc_mode": "none",
            "mem_limit": memory, "memswap_limit": memory, "nano_cpus": 10**9, **_cores(),
            "pids_limit": 16 if self.runtime is None else RUNTIME_THREADS,
            "ulimits": [Ulimit(name="nofile", soft=256, hard=256), Ulimit(name="core", soft=0, hard=0)],
            "tmpfs": {"/tmp": "size=1m,mode=1777,noexec,nosuid,nodev"}, "log_config": LOG, "runtime": self.runtime,
            "mounts": [Mount(CHANNEL, str(channel), type="bind", read_only=True)],
        }  # fmt: skip
        options = {"entrypoint": command, "user": NOBODY, "hostname": "worker", "working_dir": "/"}
        container = Container(client.api, "worker", self._image_of(client), options, host)
        container.start()
        return container

    def start_trainer(
        self,
        command: list[str],
        environment: Mapping[str, str],
        gpu: str | None,
        folders: Mapping[str, tuple[Path, str]],
    ) -> Trainer:
        """Start `command` with its standard streams attached. `folders` are (host's path, "ro" or "rw") by their path
        inside, `gpu` is the engine's name for one. Raises EngineError or ImageError."""
        from docker.types import DeviceRequest, Mount, Ulimit

        client = connect()
        user, names = _trainer_user(client)
        host = {
            "read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], **_cores(), **names,
            "ulimits": [Ulimit(name="core", soft=0, hard=0)],  # it holds the split key
            "shm_size": TRAINER_SHARED_BYTES, "log_config": {"Type": "none", "Config": {}}, "runtime": self.runtime,
            "tmpfs": {"/tmp": "mode=1777"},  # where libraries keep what they compile for the device
            "device_requests": [DeviceRequest(device_ids=[gpu], capabilities=[["gpu"]])] if gpu else None,
            "mounts": [Mount(t, str(s), type="bind", read_only=mode == "ro") for t, (s, mode) in folders.items()],
        }  # fmt: skip
        options = {
            "entrypoint": [INTERPRETER, "-P", *command], "hostname": "trainer", "working_dir": "/",
            "user": user, "environment": {"HOME": "/tmp", **environment}, "stdin_open": True,
        }  # fmt: skip
        return Trainer(client.api, Container(client.api, "trainer", self._image_of(client), options, host))

    def _image_of(self, client: DockerClient) -> str:
        if not self._image:
            state = image.inspect(client)
            if state.problem:
                raise image.ImageError(state.problem)
            if self._torch not in (None, state.torch):
                raise image.ImageError(f"the image has torch {state.torch} by now and no longer {self._torch}")
            self._image = state.image
        return self._image

    def sweep(self) -> Left:
        """Remove what dead processes of this user left in the engine and beside it. Raises EngineError."""
        return sweep(connect().api)


class Trainer:
    """A running trainer container and its standard streams."""

    def __init__(self, api: APIClient, container: Container) -> None:
        self.container = container
        try:
            with explained():
                # Attached before the start, so that nothing it writes is lost. When we go, its input ends.
                self._stream = api.attach_socket(
                    container.id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                )
            self._socket = self._stream._sock
            self._socket.settimeout(None)
        except BaseException:
            container.remove()
            raise
        container.start()

    def send(self, line: bytes) -> None:
        """Write to its standard input; one that reads no more is told by `lines`."""
        with contextlib.suppress(OSError):
            self._socket.sendall(line)

    def lines(self, errors: BinaryIO) -> Iterator[bytes]:
        """What it writes to standard output, line by line, until it ends or the engine does; standard error goes to
        `errors`."""
        from docker.utils.socket import STDERR, frames_iter

        rest = b""
        with contextlib.suppress(OSError):
            for kind, data in frames_iter(self._stream, tty=False):
                if kind == STDERR:
                    errors.write(data)
                    errors.flush()
                else:
                    *whole, rest = (rest + data).split(b"\n")
                    yield from whole

    def hang_up(self) -> None:
        """End its standard input, and `lines` with it; for another thread to call."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it and remove it. Raises EngineError."""
        with contextlib.suppress(OSError):
            self._socket.close()
        self.container.remove()


def end_worker(container: Container, patience: float) -> str:
    """End and remove a worker that gets `patience` seconds to end by itself; how it ended.

    Raises EngineError, also if the engine goes away in the next moment: it would have ended the worker.
    """
    try:
        state = container.wait(patience) if patience else None
        if state is None or state.running:
            container.kill()
            return "was still running and was killed"
        time.sleep(SETTLING_SECONDS)
        return container.state().ending()  # only now does the engine surely know whether memory ran out
    finally:
        container.remove()


def _cores() -> dict[str, Any]:
    """The processors that we may use ourselves: a container would get all of them."""
    ours = os.sched_getaffinity(0)
    return {} if len(ours) == os.cpu_count() else {"cpuset_cpus": ",".join(map(str, sorted(ours)))}


def _trainer_user(client: DockerClient) -> tuple[str, dict[str, Any]]:
    """Who the trainer is inside, so that outside it is this process's user and can write to the job's folder."""
    with explained():
        options = client.info().get("SecurityOptions") or []
    if any("name=rootless" in option for option in options):
        return "0:0", {}
    names: dict[str, Any] = {"group_add": os.getgroups()}  # what they may read, such as shared data, we may read
    if any("name=userns" in option for option in options):
        names["userns_mode"] = "host"
    return f"{os.getuid()}:{os.getgid()}", names
