"""Nothing of a worker survives: not its close, not a deadline, not the sudden end of the trainer or of the driver."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlsbench.sandbox.backend import Limits
from mlsbench.sandbox.channel import CandidateError, SandboxError
from mlsbench.sandbox.session import WorkerSession

if TYPE_CHECKING:
    from conftest import Workers

Processes = Callable[[WorkerSession], list[int]]


def gone(handles: list[int], seconds: float) -> bool:
    """Whether the processes behind these descriptors end within `seconds`."""
    waiting, deadline = select.poll(), time.monotonic() + seconds
    for handle in handles:
        waiting.register(handle, select.POLLIN)
    left = set(handles)
    while ended := waiting.poll(1000 * max(deadline - time.monotonic(), 0)):
        for handle, _ in ended:
            waiting.unregister(handle)
            left.remove(handle)
        if not left:
            break
    for handle in handles:
        os.close(handle)
    return not left


def locked(process: int) -> bool:
    """Whether a process is a worker that permits itself no other process any more."""
    try:
        limits = Path(f"/proc/{process}/limits").read_text().splitlines()
    except OSError:
        return False
    return any(line.split()[:3] == ["Max", "processes", "0"] for line in limits)


def test_the_whole_tree_is_gone_when_close_returns(
    workers: Workers, read_exploit: Callable[..., str], processes: Processes
) -> None:
    session, _ = workers.take()
    session.load(read_exploit("honest"))
    handles = [os.pidfd_open(process) for process in processes(session)]
    assert len(handles) >= 1
    session.close()
    assert gone(handles, 0)
    session.close()


def test_a_worker_that_has_no_candidate_yet_goes_too(workers: Workers, processes: Processes) -> None:
    session = workers.start()
    handles = [os.pidfd_open(process) for process in processes(session)]
    session.close()
    assert gone(handles, 0)


def test_a_spinning_worker_is_ended_at_the_deadline(
    workers: Workers, read_exploit: Callable[..., str], processes: Processes
) -> None:
    session, _ = workers.take()
    session.load("class MembershipDefense:\n    def compute_loss(self, *_):\n        while True: pass\n")
    handles = [os.pidfd_open(process) for process in processes(session)]
    started = time.monotonic()
    with pytest.raises(CandidateError, match=r"^too slow"):
        session.call(session.layout("compute_loss", {"batch": 8, "classes": 10}))
    session.close()
    assert time.monotonic() - started < 5
    assert gone(handles, 0)


def test_a_job_has_no_more_time_than_its_limit(workers: Workers, limits: Limits) -> None:
    short = Limits(limits.call_seconds, limits.start_seconds, 0.5, limits.memory_bytes, limits.log_bytes)
    session = workers.start(short)
    text = (
        "import time\nclass MembershipDefense:\n  def compute_loss(self, z, *_):\n    time.sleep(0.1); return z.sum()\n"
    )
    answered: list[bool] = []
    try:
        session.load(text)
        layout = session.layout("compute_loss", {"batch": 8, "classes": 10})
        with pytest.raises(CandidateError, match=r"^too slow"):
            answered.extend(session.call(layout) for _ in range(100))
    finally:
        session.close()
    assert len(answered) <= 5  # of 0.1 s each


@pytest.mark.parametrize("ready", [False, True])
def test_a_worker_killed_before_the_candidate_came_is_our_failure(
    workers: Workers, processes: Processes, ready: bool
) -> None:
    session = workers.start()
    while ready and not locked(processes(session)[-1]):
        os.sched_yield()
    first = processes(session)[:2][-1]  # the worker, or the first process of its namespace
    handle = os.pidfd_open(first)
    os.kill(first, signal.SIGKILL)
    assert gone([handle], 10)
    with pytest.raises(SandboxError):
        session.load("class MembershipDefense: pass")
    session.close()


def test_a_worker_killed_by_the_kernel_is_charged_to_the_candidate(
    workers: Workers, read_exploit: Callable[..., str], processes: Processes
) -> None:
    session, _ = workers.take()
    session.load(read_exploit("honest"))
    os.kill(processes(session)[-1], signal.SIGKILL)
    with pytest.raises(CandidateError, match="it was ended by signal 9"):
        session.call(session.layout("compute_loss", {"batch": 8, "classes": 10}))
    session.close()


def test_a_namespace_goes_even_if_bubblewrap_itself_was_killed(workers: Workers, processes: Processes) -> None:
    if workers.backend.name != "bubblewrap":
        pytest.skip("only bubblewrap stands between the trainer and the worker")
    session = workers.start()
    bubblewrap, *others = [os.pidfd_open(process) for process in processes(session)]
    signal.pidfd_send_signal(bubblewrap, signal.SIGKILL)
    assert gone([bubblewrap], 10)
    session.close()
    assert others
    assert gone(others, 0)


TRAINER = """
import sys, threading
from pathlib import Path
from mlsbench.harness.session import open_session
from mlsbench.tasks import get_task
context = open_session(get_task("security-membership-inference-defense").spec, sys.argv[1], Path(sys.argv[2]))
session = context.__enter__()
session.load("class MembershipDefense:\\n    def compute_loss(self, *_):\\n        while True: pass\\n")
call = lambda: session.call(session.layout("compute_loss", {"batch": 8, "classes": 10}))
if sys.argv[3] == "calling":
    threading.Thread(target=call).start()
print(session._tree._process.pid, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("state", ["idle", "calling"])
def test_a_trainer_that_is_killed_takes_its_worker_along(
    workers: Workers, tmp_path_factory: pytest.TempPathFactory, state: str
) -> None:
    if workers.backend.name == "docker":
        pytest.skip("a container of a process that was killed ends with the next call's sweep: see tests/docker")
    log = tmp_path_factory.mktemp("killed") / "log"
    arguments = [sys.executable, "-c", TRAINER, workers.backend.name, str(log), state]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        first = int(trainer.stdout.readline())
        from_host = list(descendants_of(first))
        handles = [os.pidfd_open(process) for process in from_host]
        trainer.kill()
    assert gone(handles, 10)


def descendants_of(process: int) -> list[int]:
    found = [process]
    for one in found:
        for thread in os.listdir(f"/proc/{one}/task"):
            with open(f"/proc/{one}/task/{thread}/children") as children:
                found += map(int, children.read().split())
    return found
