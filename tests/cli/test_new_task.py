"""The command `new-task`: what it says, and that it never writes over anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]


def test_it_names_every_file_and_what_to_do_next(call: Call, tmp_path: Path) -> None:
    status, out, err = call("new-task", "sharp-loss", tmp_path / "mine")
    assert status == 0
    files = [Path(line) for line in out.splitlines()]
    assert len(files) == 8
    assert all(file.is_file() and tmp_path / "mine" in file.parents for file in files)
    assert f"pip install -e {tmp_path / 'mine'}" in err


def test_without_a_folder_it_takes_one_of_the_tasks_name(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("new-task", "sharp-loss")[0] == 0
    assert (tmp_path / "sharp-loss" / "sharp_loss" / "task.toml").is_file()
    status, _, err = call("new-task", "sharp-loss")
    assert status == 2
    assert err.startswith("error: sharp-loss is there already and not an empty folder: name another")


@pytest.mark.parametrize("name", ["Sharp", "json", "../sharp", "security-poison-robust-learning"])
def test_a_bad_name_is_wrong_usage_and_writes_nothing(
    name: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = call("new-task", name)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert not list(tmp_path.iterdir())
