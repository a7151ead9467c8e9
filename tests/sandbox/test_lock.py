"""What a locked worker is to the kernel: nobody, unprivileged, with four descriptors and a short list of calls."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlsbench.sandbox import lock
from mlsbench.sandbox.backend import ENVIRONMENT, python_folders
from mlsbench.sandbox.session import WorkerSession

if TYPE_CHECKING:
    from conftest import Workers

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a locked process")


@pytest.fixture(scope="module")
def worker(
    workers: Workers, read_exploit: Callable[..., str], processes: Callable[[WorkerSession], list[int]]
) -> Iterator[Path]:
    """The /proc folder of a worker that has an honest candidate."""
    session, _ = workers.take()
    try:
        session.load(read_exploit("honest"))
        yield Path(f"/proc/{processes(session)[-1]}")
    finally:
        session.close()


def status(worker: Path) -> dict[str, str]:
    lines = (worker / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_worker_is_not_root(worker: Path) -> None:
    users = {*status(worker)["Uid"].split(), *status(worker)["Gid"].split()}
    assert "0" not in users
    if os.geteuid() == 0:
        assert users == {str(lock.NOBODY)}
        assert set(status(worker)["Groups"].split()) <= {str(lock.NOBODY)}


def test_the_worker_has_no_capability_and_can_gain_none(worker: Path) -> None:
    assert {int(status(worker)[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}
    assert status(worker)["NoNewPrivs"] == "1"


def test_a_filter_of_system_calls_is_on(worker: Path) -> None:
    assert status(worker)["Seccomp"] == "2"


def test_the_worker_has_one_thread(worker: Path) -> None:
    assert status(worker)["Threads"] == "1"


def test_the_worker_is_the_first_to_go_when_memory_runs_out(worker: Path) -> None:
    assert (worker / "oom_score_adj").read_text().strip() == "1000"


@needs_root
def test_only_the_standard_descriptors_and_the_channel_are_open(worker: Path, workers: Workers) -> None:
    links = {int(entry.name): os.readlink(entry) for entry in (worker / "fd").iterdir()}
    kept = sorted(links)[3]
    assert sorted(links) == [0, 1, 2, kept]
    if workers.backend.name == "docker":  # a pipe to the trainer, which does not read it: the worker ends with it
        assert links[0].startswith("pipe:")
    else:
        assert links[0] == "/dev/null"
    assert links[1] == links[2]
    assert links[1].startswith("/memfd:output")
    assert links[kept].startswith("socket:")


@needs_root
def test_the_environment_holds_nothing_of_the_host(worker: Path) -> None:
    names = {entry.partition(b"=")[0].decode() for entry in (worker / "environ").read_bytes().split(b"\0") if entry}
    assert names <= {*ENVIRONMENT, "PWD"}


def test_the_limits_are_in_force(worker: Path) -> None:
    rows = {line[:26].strip(): line[26:].split()[:2] for line in (worker / "limits").read_text().splitlines()}
    assert rows["Max processes"] == ["0", "0"]
    assert rows["Max core file size"] == ["0", "0"]
    assert rows["Max locked memory"] == ["0", "0"]
    assert rows["Max file size"] == [str(1 << 16)] * 2
    assert rows["Max cpu time"] == ["81", "81"]
    mapped, most = int(status(worker)["VmSize"].split()[0]) << 10, int(rows["Max address space"][1])
    assert most - (300 << 20) < mapped < most


@needs_root
def test_namespaces_of_its_own_surround_the_worker(worker: Path, workers: Workers) -> None:
    if not workers.backend.namespaces:
        pytest.skip("the process backend is in the host's, behind the lock")
    own = {name: os.readlink(worker / "ns" / name) for name in ("pid", "net", "ipc", "uts", "mnt")}
    assert all(link != os.readlink(f"/proc/self/ns/{name}") for name, link in own.items())


@needs_root
def test_a_root_of_its_own_is_read_only_and_shows_nothing_of_the_user(worker: Path, workers: Workers) -> None:
    if not workers.backend.namespaces:
        pytest.skip("the process backend has the host's files, behind the lock")
    if workers.backend.name == "bubblewrap":
        hidden = {"home", "mnt", "opt", "srv", "var", "run", "sys"}
        ways = [way for folder in python_folders() if (way := Path(folder).parts[1:])[0] in hidden]
        assert {p.name for p in (worker / "root").iterdir()} & hidden == {way[0] for way in ways}
        for way in ways:  # to Python itself, and to nothing beside it
            for depth in range(1, len(way)):
                shown = {p.name for p in (worker / "root").joinpath(*way[:depth]).iterdir()}
                assert shown <= {other[depth] for other in ways if other[:depth] == way[:depth]}
        assert {p.name for p in (worker / "root" / "mlsbench" / "mlsbench").iterdir()} == {"__init__.py", "sandbox"}
    mounts = [line.split() for line in (worker / "mounts").read_text().splitlines()]
    assert next(m[3].split(",")[0] for m in mounts if m[1] == "/") == "ro"


def limit_from_outside(worker: Path, controller: str, old: str, new: str) -> str:
    """What the worker's control group says; `old` is its name in version 1, `new` in version 2."""
    groups = [line.split(":", 2) for line in (worker / "cgroup").read_text().splitlines()]
    for _, controllers, path in groups:
        if controller in controllers.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}/{old}").read_text().strip()
    return Path(f"/sys/fs/cgroup{groups[-1][2]}/{new}").read_text().strip()


@needs_root
def test_a_container_has_limits_from_outside(worker: Path, workers: Workers) -> None:
    if not workers.backend.capped:
        pytest.skip("nothing but the lock limits this worker")
    assert int(limit_from_outside(worker, "memory", "memory.limit_in_bytes", "memory.max")) <= 2 << 30
    assert int(limit_from_outside(worker, "pids", "pids.max", "pids.max")) <= 16


EVERY_CALL = """
import ctypes
import torch.nn.functional as F

libc = ctypes.CDLL(None, use_errno=True)

class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        permitted = []
        for number in NUMBERS:
            ctypes.set_errno(0)
            if libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6) != -1 or ctypes.get_errno() != 1:
                permitted.append(number)
        assert not permitted, f"reached: {permitted}"
        return F.cross_entropy(logits, labels)
"""


def test_every_system_call_outside_the_list_is_refused(workers: Workers) -> None:
    allowed = set(lock.ALLOWED[platform.machine()][1].values())
    numbers = [n + base for base in (0, 1 << 30) for n in range(1024) if base or n not in allowed]
    if platform.machine() == "x86_64":
        numbers = [n for n in numbers if n not in (335, 336)]  # of uprobes: no filter sees them, a stray call is SIGILL
    else:
        numbers = [n for n in numbers if n < 1024]  # the second thousand are x86's calls with 32-bit pointers
    ending = workers.run(f"NUMBERS = {numbers}\n{EVERY_CALL}")
    assert ending.said == "answers"


def test_the_list_has_no_way_to_a_file_a_socket_a_process_or_a_program() -> None:
    banned = re.compile(
        "open|stat|exec|clone|fork|sock|send|recv|connect|ioctl|fcntl|prctl|kill|seek|ptrace|bpf|key|uring|dup|set|poll"
        "|affinity|shm|memfd|vm_|mount|share"
    )
    for _, calls in lock.ALLOWED.values():
        assert not [name for name in calls if banned.search(name)]


LANDLOCK = """
import ctypes, sys
from mlsbench.sandbox import lock
from mlsbench.sandbox.backend import ENVIRONMENT
libc = ctypes.CDLL(None, use_errno=True)
lock._prctl(libc, lock.PR_SET_NO_NEW_PRIVS, 1)
kept = open("/dev/null", "rb")
lock._landlock(libc)
for path in ("/", "/etc/passwd", sys.executable):
    try:
        open(path, "rb") if path != "/" else __import__("os").listdir(path)
    except PermissionError:
        continue
    sys.exit(f"reached {path}")
kept.read()
"""


def test_landlock_alone_denies_files() -> None:
    if lock.landlock_version() == 0:
        pytest.skip("this kernel has no Landlock")
    done = subprocess.run([sys.executable, "-c", LANDLOCK], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_processor_is_no_reason_to_run_unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(lock.LockError, match="riscv64"):
        lock._seccomp(None)  # type: ignore[arg-type]


def test_a_process_with_threads_is_not_locked_in_part() -> None:
    code = (
        "import threading; from mlsbench.sandbox import lock\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "lock.lock(3, 1 << 30, 1 << 16, 60)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "LockError: the worker has more than one thread" in done.stderr
