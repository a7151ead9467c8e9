"""What is asked of the engine for a worker and for a trainer: nothing that either does not need."""

from __future__ import annotations

import base64
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from container_jobs import Heard, containers, small_jobs

from mlsbench.harness.engine import Event
from mlsbench.harness.local import LocalEngine
from mlsbench.harness.plan import Job
from mlsbench.sandbox.backend import ENVIRONMENT

Document = dict[str, Any]
SENTENCE = "install nvidia-container-toolkit"


class Seen:
    """The containers of a job in the middle of its training, and what the kernel says of their main processes."""

    def __init__(self, job: Job, data: Path) -> None:
        self.job = job.model_copy(update={"data": data})
        self.found: dict[str, Document] = {}
        self.kernel: dict[str, dict[str, str]] = {}
        self.environment: dict[str, list[str]] = {}
        (self.stored,) = LocalEngine(["cpu"], 1).run([self.job], Heard(self._look))

    def _look(self, event: Event) -> None:
        if event.kind != "epoch" or self.found:
            return
        for found in containers():
            role = found["Config"]["Labels"]["mlsbench.role"]
            assert role not in self.found
            self.found[role] = found
            first = found["State"]["Pid"]
            (worker,) = map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())
            status = (line.split(":", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
            self.kernel[role] = {name: value.strip() for name, value in status}
            if os.geteuid() == 0:
                content = Path(f"/proc/{worker}/environ").read_text()
                self.environment[role] = sorted(filter(None, content.split("\0")))


@pytest.fixture(scope="module")
def seen(image: str, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    data, other = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("other-disk")
    (other / "file").write_text("")
    (data / "digits.npz").symlink_to(other / "file")
    (data / "cifar10.npz").write_text("")  # of another benchmark
    (job,) = small_jobs(tmp_path_factory.mktemp("job"))
    return Seen(job, data)


@pytest.fixture(params=["worker", "trainer"])
def found(request: pytest.FixtureRequest, seen: Seen) -> Document:
    return seen.found[request.param]


@pytest.fixture
def worker(seen: Seen) -> Document:
    return cast("Document", seen.found["worker"]["HostConfig"])


@pytest.fixture
def trainer(seen: Seen) -> Document:
    return cast("Document", seen.found["trainer"]["HostConfig"])


def mounts(found: Document) -> dict[str, tuple[str, bool]]:
    """Sources and whether they can be written, by what they are called inside."""
    return {m["Destination"]: (m["Source"], m["RW"]) for m in found["Mounts"]}


def test_both_run_this_packages_image(found: Document, image: str) -> None:
    assert found["Image"] == image


def test_both_have_no_network_no_writable_root_and_no_rights(found: Document) -> None:
    host = found["HostConfig"]
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["Privileged"]) == ("none", True, False)
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
    assert host["SecurityOpt"] == ["no-new-privileges"]  # and with that the engine's own list of system calls
    assert (host["PidMode"], host["UTSMode"], host["Devices"], host["Init"]) == ("", "", None, True)


@pytest.mark.parametrize("role", ["worker", "trainer"])
def test_the_kernel_agrees(seen: Seen, role: str) -> None:
    status = seen.kernel[role]
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_a_worker_has_two_filters_of_system_calls_the_engines_and_its_own(seen: Seen) -> None:
    filters = "Seccomp_filters"
    assert int(seen.kernel["worker"][filters]) == int(seen.kernel["trainer"][filters]) + 1


def test_a_worker_is_nobody(seen: Seen) -> None:
    assert seen.found["worker"]["Config"]["User"] == "65534:65534"
    assert set(seen.kernel["worker"]["Uid"].split()) == {"65534"} or os.geteuid()


def test_a_worker_has_limits_from_outside(worker: Document, seen: Seen) -> None:
    memory = (seen.job.spec.limits.memory_mib << 20) + (1 << 30)
    assert (worker["Memory"], worker["MemorySwap"]) == (memory, memory)
    assert (worker["PidsLimit"], worker["NanoCpus"]) == (16, 10**9)
    assert {u["Name"]: (u["Soft"], u["Hard"]) for u in worker["Ulimits"]} == {"nofile": (256, 256), "core": (0, 0)}


def test_a_workers_log_and_temporary_files_are_small(worker: Document) -> None:
    assert worker["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "65536", "max-file": "1"}}
    options = worker["Tmpfs"].pop("/tmp").split(",")
    assert {"size=1m", "noexec", "nosuid", "nodev"} <= set(options)
    assert not worker["Tmpfs"]


def test_a_worker_shares_no_memory_with_others(worker: Document) -> None:
    assert worker["IpcMode"] == "none"


def test_a_worker_sees_its_own_channel_alone_and_cannot_change_it(seen: Seen) -> None:
    (inside, (source, writable)) = mounts(seen.found["worker"]).popitem()
    assert len(seen.found["worker"]["Mounts"]) == 1
    assert (inside, writable) == ("/channel", False)
    assert Path(source).parent == Path(mounts(seen.found["trainer"])["/channels"][0])


def test_a_worker_is_given_no_gpu(worker: Document) -> None:
    assert not worker["DeviceRequests"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into processes of others")
def test_a_worker_process_has_the_environment_that_all_backends_give(seen: Seen) -> None:
    assert seen.environment["worker"] == sorted(f"{name}={value}" for name, value in ENVIRONMENT.items())


def test_a_trainer_may_write_its_jobs_folder_and_the_channels_alone(seen: Seen) -> None:
    found = mounts(seen.found["trainer"])
    assert found.pop("/channels")[1]
    data = (seen.job.data / "digits.npz").resolve()
    assert found == {"/job": (str(seen.job.folder), True), "/data/digits.npz": (str(data), False)}


def test_a_trainer_is_us(seen: Seen) -> None:
    assert seen.found["trainer"]["Config"]["User"] == f"{os.getuid()}:{os.getgid()}"
    assert (seen.found["trainer"]["HostConfig"]["GroupAdd"] or []) == [str(group) for group in os.getgroups()]


def test_a_trainer_has_shared_memory_and_no_gpu_that_it_does_not_use(trainer: Document) -> None:
    assert trainer["ShmSize"] == 1 << 30
    assert not trainer["DeviceRequests"]


def test_the_engine_is_told_no_secret(seen: Seen) -> None:
    told = json.dumps(list(seen.found.values()))
    key = seen.job.key
    for secret in (key.hex(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode(), "compute_loss("):
        assert secret not in told
    assert seen.job.spec.contract.class_name in told  # what is no secret is found by such a search


class Recorder(socketserver.ThreadingUnixStreamServer):
    """Stands before the engine and keeps the bytes that it is asked with."""

    daemon_threads = True

    def __init__(self, path: Path, engine: str) -> None:
        self.engine, self.asked = engine, [b""]
        super().__init__(str(path), Passing)

    def creations(self) -> list[Document]:
        """The bodies of all requests for a container."""
        found = []
        for connection in self.asked:
            for request in connection.split(b"POST /")[1:]:
                head, _, body = request.partition(b"\r\n\r\n")
                if b"/containers/create" in head.splitlines()[0]:
                    found.append(json.JSONDecoder().raw_decode(body.decode())[0])
        return found


class Passing(socketserver.BaseRequestHandler):
    server: Recorder

    def handle(self) -> None:
        number = len(self.server.asked)
        self.server.asked.append(b"")
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self.server.engine)
            back = threading.Thread(target=self._answer, args=(engine,), daemon=True)
            back.start()
            while data := self.request.recv(1 << 16):
                self.server.asked[number] += data
                engine.sendall(data)
            engine.shutdown(socket.SHUT_WR)
            back.join(10)

    def _answer(self, engine: socket.socket) -> None:
        while data := engine.recv(1 << 16):
            self.request.sendall(data)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    with Recorder(tmp_path / "engine", engine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("visible", "device", "name"),
    [
        (None, "cuda:1", "1"),
        ("4,7", "cuda:1", "7"),
        ("GPU-11aa, GPU-22bb", "cuda:1", "GPU-22bb"),
        (None, "cuda:0", "0"),
    ],
)
def test_a_trainer_asks_for_the_one_gpu_that_the_job_names(
    image: str, tmp_path: Path, recorder: Recorder, visible: str | None, device: str, name: str
) -> None:
    """Where there is no such GPU, this ends with the sentence that helps, and the container is gone."""
    (job,) = small_jobs(tmp_path)
    job.folder.mkdir(parents=True)
    environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    environment |= {"DOCKER_HOST": f"unix://{recorder.server_address!s}"}
    environment |= {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    done = subprocess.run(
        [sys.executable, "-m", "mlsbench.harness.supervisor"], env=environment, capture_output=True, check=False,
        input=job.model_copy(update={"device": device}).model_dump_json().encode() + b"\n", timeout=120,
    )  # fmt: skip
    trainer = recorder.creations()[0]
    (asked,) = trainer["HostConfig"]["DeviceRequests"]
    assert (asked["DeviceIDs"], asked["Capabilities"]) == ([name], [["gpu"]])
    assert not containers()
    if done.returncode == 3 and not Path("/dev/nvidiactl").exists():
        assert SENTENCE in done.stderr.decode().splitlines()[-1]
