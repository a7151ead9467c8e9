"""What the machine does to a job is never the candidate's failure: it is tried again with the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from container_jobs import DEADLINE, Command, Heard, containers, files_of, small_jobs, until
from docker import DockerClient
from docker.errors import APIError

from mlsbench.harness.engine import ATTEMPTS, Event
from mlsbench.harness.local import LocalEngine
from mlsbench.scoring.record import Stored


@pytest.fixture(scope="module")
def undisturbed(image: str, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    (stored,) = LocalEngine(["cpu"], 1).run(small_jobs(tmp_path_factory.mktemp("undisturbed")), Heard())
    return stored


@pytest.mark.parametrize("role", ["trainer", "worker and trainer"])
def test_a_killed_trainer_is_followed_by_another_which_finds_the_same(
    client: DockerClient, undisturbed: Stored, tmp_path: Path, role: str
) -> None:
    """A worker that goes with its trainer, as on an engine that shuts down, is no failure of the candidate's."""

    def kill(event: Event) -> None:
        if event.kind == "epoch" and event.job.attempt == 1 and event.data["epoch"] == 4:
            if role == "worker and trainer":
                (worker,) = containers("worker")
                client.api.kill(worker["Id"], "SIGTERM")
                until(lambda: not any(one["State"]["Running"] for one in containers("worker")), "the worker's end")
            (trainer,) = containers("trainer")
            client.api.kill(trainer["Id"])

    heard = Heard(kill)
    (stored,) = LocalEngine(["cpu"], 1).run(small_jobs(tmp_path), heard)
    assert (stored.record.status, stored.record.attempts) == ("scored", 2)
    assert "the trainer's container was ended by signal 9" in heard.reasons()[0]
    assert stored.record.metrics == undisturbed.record.metrics
    assert stored.record.job_key == undisturbed.record.job_key
    assert files_of(stored.path) == files_of(undisturbed.path)
    assert not containers()


def test_a_trainer_without_memory_is_told_so(client: DockerClient, undisturbed: Stored, tmp_path: Path) -> None:
    """Its container gets the least limit that is accepted, which is less than it needs later."""

    def lower(event: Event) -> None:
        if event.kind == "epoch" and event.job.attempt == 1 and event.data["epoch"] == 1:
            (trainer,) = containers("trainer")
            until(lambda: any(lowered(client, trainer["Id"], mib) for mib in range(64, 1024, 8)), "a limit is accepted")

    heard = Heard(lower)
    (stored,) = LocalEngine(["cpu"], 1).run(small_jobs(tmp_path), heard)
    assert (stored.record.status, stored.record.attempts) == ("scored", 2)
    assert "the trainer's container ran out of memory" in heard.reasons()[0]


def lowered(client: DockerClient, container: str, mib: int) -> bool:
    """Whether the kernel accepts this limit on a container's memory."""
    try:
        client.api.update_container(container, mem_limit=mib << 20, memswap_limit=mib << 20)
    except APIError:
        return False
    return True


def test_a_job_whose_trainer_is_killed_each_time_is_given_up_with_exit_code_4(
    client: DockerClient, image: str, tmp_path: Path
) -> None:
    command = Command(tmp_path)
    for attempt in range(1, ATTEMPTS + 1):
        until(lambda attempt=attempt: command.errors.count("epoch 1/12") == attempt, f"attempt {attempt}")
        (trainer,) = containers("trainer")
        client.api.kill(trainer["Id"])
    assert command.process.wait(DEADLINE) == 4
    (path,) = command.records()
    record = json.loads(path.read_text())
    assert (record["status"], record["attempts"], record["metrics"]) == ("infra_failed", ATTEMPTS, {})
    assert "the trainer's container was ended by signal 9" in record["reason"]
    assert not containers()
