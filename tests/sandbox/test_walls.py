"""The walls named in tests/exploits are the ones that hold: with a wall left out, what it stops gets through.

Each worker here is started with a part of its lock left out. What it runs stops at the first thing that it reaches, and
reaches for a temporary folder and for listeners on loopback alone.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlsbench.sandbox.backend import Limits, worker_arguments
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.session import WorkerSession, names_lazy_parts

if TYPE_CHECKING:
    from conftest import Workers

LEFT_OUT = {
    "system calls": "lock._seccomp = lambda libc: None",
    "landlock": "lock._landlock = lambda libc: None",
    "limits": "lock._limit = lambda *given: None",
    "descriptors": "import os; os.dup2(1, 99); os.closerange = lambda *given: None",
    "environment": "import os; os.environ['SECRET_KEY'] = 'of the host'",
}


@pytest.fixture
def said(
    workers: Workers, limits: Limits, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """What a worker without some walls says to a text's first call, or else what it printed."""
    backend = sys.modules[type(workers.backend).__module__]

    def run(text: str, *walls: str) -> str:
        def arguments(root: str, channel: str, setup: str) -> list[str]:
            option, code, *rest = worker_arguments(root, channel, setup)
            weaken = [f"import sys; sys.path.insert(0, {root!r})", "from mlsbench.sandbox import lock"]
            return [option, "; ".join([*weaken, *(LEFT_OUT[wall] for wall in walls), code]), *rest]

        monkeypatch.setattr(backend, "worker_arguments", arguments)
        log: Path = tmp_path_factory.mktemp("weakened") / "log"
        session = WorkerSession(workers.backend, workers.contract, limits, log, names_lazy_parts(text))
        try:
            session.load(text)
            session.call(session.layout("compute_loss", {"batch": 8, "classes": 10}))
            found = ""
        except CandidateError as error:
            found = str(error)
        finally:
            session.close()
        return found or log.read_text() or "found nothing"

    return run


ALONE = {
    ("read_files", "system calls"): "reached: stat ",  # Landlock denies to open and to list, not to ask for its size
    ("read_files", "system calls", "landlock"): "reached: open ",
    ("write_files", "system calls", "landlock"): "reached: create ",
    ("open_sockets", "system calls"): "reached: socket ",
    ("read_proc", "system calls", "landlock"): "reached: ",
    ("reach_the_kernel", "system calls"): "reached: ",
    ("run_machine_code", "system calls"): "reached: the parent",
    ("start_threads", "system calls"): "found nothing",
    ("start_threads", "system calls", "limits"): "reached: raw",
    ("count_descriptors", "descriptors"): "reached: descriptors [0, 1, 2, ",
    ("read_environment", "environment"): "reached: ['SECRET_KEY']",
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "walls"), [(name, walls) for name, *walls in ALONE])
def test_a_technique_gets_through_when_its_walls_are_left_out(
    name: str, walls: list[str], workers: Workers, said: Callable[..., str], read_exploit: Callable[..., str]
) -> None:
    if workers.backend.namespaces:
        pytest.skip("what surrounds the worker holds a part of it")
    expected = ALONE[name, *walls]
    assert expected in said(read_exploit(name), *walls)


# What namespaces hide; each thing that is reached is printed.
REACH = """
import torch
import torch.nn.functional as F
os = torch.os

def connect(family, address):
    import _socket
    with_address = _socket.socket(family, 1)
    with_address.connect(address)

WAYS = {
    "a file": lambda: os.close(os.open(CANARY, 0)),
    "a listener on loopback": lambda: connect(2, ("127.0.0.1", PORT)),
    "an abstract socket": lambda: connect(1, NAME),
    "a process": lambda: os.stat(f"/proc/{PROCESS}"),
}

class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        for name, way in WAYS.items():
            try:
                way()
            except OSError:
                continue
            print(name)
        return F.cross_entropy(logits, labels)
"""
EVERYTHING = "a file\na listener on loopback\nan abstract socket\na process\n"


def test_what_surrounds_a_worker_hides_the_host_without_system_call_list_and_landlock(
    workers: Workers, said: Callable[..., str], open_folder: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        name = f"\0mlsbench-walls-{listener.getsockname()[1]}"
        abstract.bind(name)
        abstract.listen()
        names = {"CANARY": f"{open_folder}/canary", "PORT": listener.getsockname()[1], "NAME": name}
        text = "".join(f"{k} = {v!r}\n" for k, v in (names | {"PROCESS": os.getpid()}).items()) + REACH
        found = said(text, "system calls", "landlock")
    # The process backend has nothing behind the lock, and shows that the ways are good.
    assert found == ("found nothing" if workers.backend.namespaces else EVERYTHING)


IN_PROCESS = """
import sys
from pathlib import Path
import torch
from mlsbench.harness.oracle import Oracle
from mlsbench.harness.session import open_session, wire_method
from mlsbench.sandbox.channel import CandidateError
from mlsbench.tasks import get_task, read_submission
task = get_task("security-membership-inference-defense")
with open_session(task.spec, "inprocess", Path("unused")) as session:
    try:
        session.load(read_submission(Path(sys.argv[1]), task).text)
        oracle = Oracle(session, wire_method(task.spec, "compute_loss"))
        print("loss", oracle(logits=torch.randn(8, 10), labels=torch.arange(8), epoch=0).loss)
    except CandidateError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("disable_checks", "loss nan"),
        ("patch_torch", "loss 0.0"),
        ("walk_frames", "raised AssertionError: reached: ['mlsbench.harness"),
    ],
)
def test_without_a_process_of_its_own_a_candidate_reaches_the_trainer(name: str, expected: str) -> None:
    file = Path(__file__).parent.parent / "exploits" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, "-c", IN_PROCESS, str(file)], capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout.startswith(expected)


ALLOCATE = """
import torch
import torch.nn.functional as F

class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        kept = torch.ones(SIZE, dtype=torch.uint8)
        return F.cross_entropy(logits, labels)
"""


def test_the_limit_on_memory_is_what_ends_an_allocation(said: Callable[..., str], limits: Limits) -> None:
    text = f"SIZE = {limits.memory_bytes + (1 << 20)}\n{ALLOCATE}"
    assert said(text).startswith("out of memory")
    assert said(text, "limits") == "found nothing"


def test_a_container_limits_memory_from_outside_too(workers: Workers, said: Callable[..., str]) -> None:
    if not workers.backend.capped:
        pytest.skip("nothing but the lock limits this worker")
    assert said(f"SIZE = {2 << 30}\n{ALLOCATE}", "limits").endswith("it ran out of memory")
