"""An engine that stops in the middle of a job costs a retry and no candidate anything.

Only an engine that the tests may stop is stopped: MLSBENCH_TEST_ENGINE names a command that takes `stop SIGNAL`, which
returns when the engine is gone, and `start`, which returns when it answers.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from container_jobs import Heard, alive, containers, descendants, files_of, folders, small_jobs

from mlsbench.harness.engine import ATTEMPTS, Event
from mlsbench.harness.local import LocalEngine
from mlsbench.scoring.record import Stored

CONTROL = shlex.split(os.environ.get("MLSBENCH_TEST_ENGINE", ""))
pytestmark = pytest.mark.skipif(not CONTROL, reason="this engine may not be stopped: MLSBENCH_TEST_ENGINE is not set")


def control(*arguments: str) -> None:
    subprocess.run([*CONTROL, *arguments], check=True, timeout=120)


@pytest.fixture(scope="module")
def undisturbed(image: str, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    (stored,) = LocalEngine(["cpu"], 1).run(small_jobs(tmp_path_factory.mktemp("undisturbed")), Heard())
    return stored


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_job_is_tried_again_when_the_engine_is_back(undisturbed: Stored, tmp_path: Path, number: int) -> None:
    """An engine that stops by itself ends worker and trainer first; one that is killed leaves them running."""

    processes: list[int] = []

    def restart(event: Event) -> None:
        if event.kind == "epoch" and event.job.attempt == 1 and event.data["epoch"] == 4:
            processes.extend(descendants([found["State"]["Pid"] for found in containers()]))
            control("stop", signal.Signals(number).name)
            control("start")

    heard = Heard(restart)
    (stored,) = LocalEngine(["cpu"], 1).run(small_jobs(tmp_path), heard)
    assert (stored.record.status, stored.record.attempts) == ("scored", 2)
    assert heard.kinds.count("retry") == 1
    assert stored.record.metrics == undisturbed.record.metrics
    assert files_of(stored.path) == files_of(undisturbed.path)
    assert len(processes) >= 4  # the first ones of two containers, trainer and worker
    assert not any(map(alive, processes))
    assert not containers()
    assert not folders()


def test_a_job_is_given_up_when_the_engine_stays_away(image: str, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event.kind == "epoch" and event.data["epoch"] == 4:
            control("stop", "SIGTERM")

    heard = Heard(stop)
    try:
        (stored,) = LocalEngine(["cpu"], 1).run(small_jobs(tmp_path), heard)
    finally:
        control("start")
    assert (stored.record.status, stored.record.attempts) == ("infra_failed", ATTEMPTS)
    assert stored.record.reason.startswith("no Docker engine runs at unix://")
    assert "start the one that DOCKER_HOST names" in stored.record.reason
