"""What a process made is called left behind only if that very process is known to be dead."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mlsbench.sandbox.container import FOLDER_PREFIX, sweep_folders
from mlsbench.sandbox.owner import identity, state, user_prefix

PRINT = "from mlsbench.sandbox.owner import identity; print(identity(), flush=True); input()"
USER, BOOT, NAMESPACE, TIME, PROCESS, STARTED = range(6)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where channel folders are made and looked for."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


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


FOREIGN = [(USER, "4000000000"), (NAMESPACE, "1"), (TIME, "1"), (PROCESS, "x"), (PROCESS, "\u00b24"), (PROCESS, "")]


@pytest.mark.parametrize("owner", [*(changed(*one) for one in FOREIGN), "", "a.b", f"{os.getuid()}.dead.1.2.3.4"])
def test_of_what_cannot_be_seen_from_here_nothing_is_known(owner: str) -> None:
    assert state(owner) == "unknown"


def dead_folder(place: Path, end: str) -> Path:
    return place / f"{FOLDER_PREFIX}{changed(STARTED, '1')}-{end}"


def test_a_dead_processs_folder_goes_however_deep(place: Path) -> None:
    (dead_folder(place, "a") / "0").mkdir(parents=True)
    assert sweep_folders() == 1
    assert not list(place.iterdir())


def test_what_is_no_folder_stays_and_is_not_counted(place: Path) -> None:
    (place / "kept").mkdir()
    (place / "kept" / "file").write_text("")
    dead_folder(place, "a").symlink_to(place / "kept")
    dead_folder(place, "b").write_text("")
    assert sweep_folders() == 0
    assert len(list(place.iterdir())) == 3
    assert (place / "kept" / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that is another user's")
def test_another_users_folder_stays_unread(place: Path) -> None:
    folder = dead_folder(place, "a")
    (folder / "0").mkdir(parents=True)
    os.chown(folder, 65534, 65534)
    assert sweep_folders() == 0
    assert (folder / "0").is_dir()
