"""What a process made is called left behind only if that very process is known to be dead."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mlsbench.sandbox.owner import identity, state, user_prefix

PRINT = "from mlsbench.sandbox.owner import identity; print(identity(), flush=True); input()"
USER, BOOT, NAMESPACE, PROCESS, STARTED = range(5)


def changed(part: int, value: str) -> str:
    """This process's identity with one part of it changed."""
    parts = identity().split(".")
    parts[part] = value
    return ".".join(parts)


def test_this_process_is_alive() -> None:
    assert state(identity()) == "alive"
    assert identity().startswith(user_prefix())


def test_another_process_is_alive_until_it_ends() -> None:
    command = [sys.executable, "-c", PRINT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        assert state(owner) == "alive"
        process.kill()
    assert state(owner) == "dead"


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PRINT], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    owner = process.stdout.readline().strip()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert state(owner) == "dead"
    process.communicate()


def test_a_process_that_got_the_number_of_a_dead_one_is_not_it() -> None:
    assert state(changed(STARTED, "1")) == "dead"


def test_nothing_outlives_the_boot() -> None:
    assert state(changed(BOOT, "0" * 32)) == "dead"


@pytest.mark.parametrize(
    "owner", [changed(USER, "4000000000"), changed(NAMESPACE, "1"), changed(PROCESS, "x"), "", "a.b"]
)
def test_of_what_cannot_be_seen_from_here_nothing_is_known(owner: str) -> None:
    assert state(owner) == "unknown"
