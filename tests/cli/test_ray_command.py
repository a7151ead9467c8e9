"""`--engine ray` without a cluster: one of the command's own, of which nothing is left however the command ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlsbench.scoring import find_records
from mlsbench.tasks import baseline_path

TASK = "security-membership-inference-defense"
DEADLINE = 200
OPTIONS = (
    "--protocol", "smoke", "--benchmark", "resnet20-digits", "--sandbox", "process", "--device", "cpu", "--seed", "42",
    "--override", "members=64", "--override", "epochs=9999", "--engine", "ray",
)  # fmt: skip


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE} s"
        time.sleep(0.05)


def processes(mark: str) -> list[int]:
    """Living processes whose environment holds `mark`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # gone
                alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
                if alive and mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder with a short path, which those of Ray's sockets begin with."""
    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as name:
        yield Path(name)


@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
def test_what_ends_the_command_ends_the_cluster_and_the_job(
    command: str, candidate: Callable[[str], Path], tmp_path: Path, temporary: Path, number: signal.Signals
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'mlsbench[ray]'")
    submission = candidate("return F.cross_entropy(logits, labels)")
    arguments = [command, "run", TASK, "--submission", str(submission), *OPTIONS, "--runs", str(tmp_path / "runs")]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {"TMPDIR": str(temporary)}
    log = tmp_path / "errors"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            arguments, env=environment, stderr=errors, stdout=subprocess.PIPE, process_group=0,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        until(lambda: "epoch 1/9999" in log.read_text() or process.poll() is not None, "the first epoch")
        assert len(processes(f"TMPDIR={temporary}")) > 4
        assert not [line for line in listening(processes(f"TMPDIR={temporary}")) if not line.startswith("127.0.0.1:")]
        os.killpg(process.pid, number)
        output, _ = process.communicate(timeout=DEADLINE)
    assert (process.returncode, output) == (130 if number == signal.SIGINT else -number, b"")
    until(lambda: not processes(f"TMPDIR={temporary}"), "all processes are gone")
    assert not list(tmp_path.rglob("record.json"))
    if number == signal.SIGINT:
        assert "Traceback" not in log.read_text()
    else:
        done = subprocess.run(
            [command, "clean"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert "folders of Ray clusters removed: 1" in done.stdout
    assert not [path.name for path in temporary.iterdir() if path.name.startswith("mlsbench")]


@pytest.mark.ray
def test_an_attack_on_a_cluster_has_the_scores_of_one_without(command: str, tmp_path: Path, temporary: Path) -> None:
    task = "security-membership-inference-attack"
    options = (
        "--protocol", "smoke", "--benchmark", "mlp-prototypes", "--seed", "42", "--override", "epochs=2", "--override",
        "members=300", "--sandbox", "process", "--device", "cpu", "--jobs", "1",
        "--submission", str(baseline_path(task, "lira")),
    )  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {"TMPDIR": str(temporary)}
    found = []
    for engine in ("ray", "local"):
        arguments = [command, "run", task, *options, "--engine", engine, "--runs", str(tmp_path / engine)]
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (stored,), _ = find_records(tmp_path / engine)
        found.append(stored.record.metrics)
    assert found[0] == found[1]


def listening(of: list[int]) -> list[str]:
    """Addresses of the TCP sockets on which these processes listen."""
    sockets = set()
    for process in of:
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            with contextlib.suppress(OSError):  # gone
                sockets.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                address, port = fields[1].split(":")
                last = bytes.fromhex(address[-8:])[::-1]  # the end of a mapped address is one of the older kind
                found.append(f"{'.'.join(map(str, last))}:{int(port, 16)}")
    return found


def test_without_ray_the_way_to_it_is_named(command: str, candidate: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError(name='ray')\n")
    submission = candidate("return F.cross_entropy(logits, labels)")
    done = subprocess.run(
        [command, "run", TASK, "--submission", str(submission), *OPTIONS], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install 'mlsbench[ray]'" in done.stderr


@pytest.mark.ray
def test_a_cluster_where_nothing_listens_is_named_at_once(
    command: str, candidate: Callable[[str], Path], tmp_path: Path
) -> None:
    submission = candidate("return F.cross_entropy(logits, labels)")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # which nobody else gets for now, and which is closed in a moment
    done = subprocess.run(
        [command, "run", TASK, "--submission", str(submission), *OPTIONS], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"RAY_ADDRESS": f"127.0.0.1:{port}"}, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"error: the Ray cluster at 127.0.0.1:{port} does not answer: Connection refused\n"


def test_an_engine_that_is_none_is_refused(command: str) -> None:
    arguments = [command, "run", TASK, "--submission", __file__, "--engine", "slurm"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "slurm" in done.stderr
