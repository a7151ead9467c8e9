"""A command that ends early leaves nothing that goes on, and what it leaves lying is removed, but nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from container_jobs import (
    COMMAND,
    DEADLINE,
    PLAIN,
    TASK,
    Command,
    alive,
    containers,
    descendants,
    folders,
    submission,
    until,
)
from docker import DockerClient

from mlsbench.sandbox.container import OWNER, ROLE

SPINNING = f"while epoch == 2:\n    pass\n{PLAIN}"
IDENTITY = "from mlsbench.sandbox.owner import identity; print(identity(), flush=True); input()"


def supervisor(command: Command) -> int:
    """The process beside the command's job."""
    (found,) = [p for p in descendants([command.process.pid]) if b"harness.supervisor" in arguments(p)]
    return found


def arguments(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def kill_both(command: Command) -> None:
    """Command and supervisor at once: neither sees the other's end."""
    beside = supervisor(command)
    os.kill(command.process.pid, signal.SIGSTOP)
    for process in (beside, command.process.pid):
        os.kill(process, signal.SIGKILL)


def wait_until_gone(processes: list[int]) -> None:
    assert len(processes) >= 5  # a supervisor, and in two containers each the first process and ours
    until(lambda: not any(map(alive, processes)), "all processes are gone")


@pytest.fixture
def command(request: pytest.FixtureRequest, image: str, tmp_path: Path) -> Iterator[Command]:
    """In the middle of its job's training."""
    command = Command(tmp_path, getattr(request, "param", PLAIN))
    command.reach("epoch 2/12")
    yield command
    if command.process.poll() is None:
        command.process.kill()
        command.process.wait()


@pytest.mark.parametrize("command", [PLAIN, SPINNING], ids=["computing", "spinning"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "term", "kill"])
def test_nothing_is_left_of_a_command_that_a_signal_ends(command: Command, number: int) -> None:
    """Its supervisor sees to that; and what was not finished has no record."""
    processes = command.processes()
    os.killpg(command.process.pid, number)
    assert command.process.wait(DEADLINE) == (-number if number == signal.SIGKILL else 130)
    wait_until_gone(processes)
    assert (containers(), folders(), command.records()) == ([], [], [])
    assert not list(command.folder.rglob("*.tmp"))


def test_a_killed_supervisor_is_followed_by_another_that_removes_what_it_left(command: Command) -> None:
    processes, first = command.processes(), supervisor(command)
    os.kill(first, signal.SIGKILL)
    wait_until_gone(processes)
    assert command.process.wait(DEADLINE) == 0
    assert "retry: the job's process was ended by SIGKILL" in command.errors
    assert (containers(), folders(), len(command.records())) == ([], [], 1)


@pytest.mark.parametrize("command", [PLAIN, SPINNING], ids=["computing", "spinning"], indirect=True)
def test_a_job_does_not_go_on_without_command_and_supervisor(command: Command) -> None:
    """Then nobody is left who could tell the engine; what is lying about is removed by `mlsbench clean`."""
    processes = command.processes()
    kill_both(command)
    wait_until_gone(processes)
    left = containers()
    assert sorted(one["Config"]["Labels"][ROLE] for one in left) == ["trainer", "worker"]
    until(lambda: not any(one["State"]["Running"] for one in containers()), "the engine knows that all have ended")
    assert len(folders()) == 1
    done = clean(command.folder)
    assert "containers and folders removed: 3; in use: 0" in done
    assert (containers(), folders()) == ([], [])


def test_the_next_run_removes_what_is_left_and_does_the_job(command: Command) -> None:
    kill_both(command)
    left = {one["Id"] for one in containers()}
    again = command.again()
    assert again.returncode == 0
    assert left
    assert (containers(), folders(), len(command.records())) == ([], [], 1)


def clean(folder: Path) -> str:
    done = subprocess.run([COMMAND, "clean", "--runs", folder / "runs"], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def neighbour() -> Iterator[str]:
    """The identity of another living process of ours."""
    with subprocess.Popen([sys.executable, "-c", IDENTITY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
        process.kill()


@pytest.fixture
def dead() -> str:
    """The identity of a process of ours that has ended."""
    done = subprocess.run([sys.executable, "-c", IDENTITY], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.stdout.decode().strip()


@pytest.fixture
def labelled(client: DockerClient, image: str) -> Iterator[Any]:
    """labelled(owner): the id of a container with that label, or without one; it is removed afterwards."""
    made = []

    def create(owner: str | None) -> str:
        labels = {} if owner is None else {OWNER: owner, ROLE: "worker"}
        made.append(client.api.create_container(image, ["true"], labels=labels)["Id"])
        return str(made[-1])

    yield create
    for one in made:
        if one in present(client):
            client.api.remove_container(one, force=True)


def present(client: DockerClient) -> set[str]:
    return {one["Id"] for one in client.api.containers(all=True)}


def changed(identity: str, part: int, value: str) -> str:
    parts = identity.split(".")
    parts[part] = value
    return ".".join(parts)


def test_clean_removes_containers_of_the_dead_and_of_earlier_boots(
    client: DockerClient, labelled: Any, neighbour: str, dead: str, tmp_path: Path
) -> None:
    for owner in (dead, changed(neighbour, 1, "0" * 32), changed(neighbour, 5, "1")):
        labelled(owner)
    assert "containers and folders removed: 3; in use: 0" in clean(tmp_path)
    assert not containers()


def test_a_command_that_has_nothing_to_run_removes_what_is_left_too(labelled: Any, dead: str, tmp_path: Path) -> None:
    labelled(dead)
    arguments = ["validate", TASK.spec.id, "--submission", submission(tmp_path), "--protocol", "smoke"]
    subprocess.run([COMMAND, *arguments, "--sandbox", "docker"], capture_output=True, check=True)
    assert not containers()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("not ours", "in use: 0\n"),
        ("a living process's", "in use: 1\n"),
        ("another user's", "in use: 0\ncontainers of other users, or of commands that cannot be seen from here: 1."),
        ("of another namespace", "cannot be seen from here: 1."),
        ("unreadable", "cannot be seen from here: 1."),
    ],
)
def test_clean_leaves_what_it_does_not_know_to_be_dead(
    client: DockerClient, labelled: Any, neighbour: str, dead: str, tmp_path: Path, kind: str, said: str
) -> None:
    owners = {
        "not ours": None, "a living process's": neighbour, "another user's": changed(dead, 0, str(os.getuid() + 1)),
        "of another namespace": changed(dead, 2, "1"), "unreadable": "../..",
    }  # fmt: skip
    made = labelled(owners[kind])
    output = clean(tmp_path)
    assert made in present(client)
    assert "containers and folders removed: 0;" in output
    assert said in output


def test_clean_leaves_records_and_a_running_commands_containers(command: Command) -> None:
    folder = command.folder / "runs" / "seed-7"
    folder.mkdir()
    kept = [folder / name for name in ("record.json", "weights.safetensors", "job.log", ".lock")]
    for path in [*kept, folder / ".scores.npz.0badcafe.tmp"]:
        path.write_text("{}")
    output = clean(command.folder)
    assert "half-written files removed: 1\ncontainers and folders removed: 0; in use: 2\n" in output
    assert sorted(folder.iterdir()) == sorted(kept)
    assert command.process.wait(DEADLINE) == 0
    assert "retry" not in command.errors
