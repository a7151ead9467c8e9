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


@pytest.mark.parametrize(
    "name",
    ["Sharp", "json", "../sharp", "security-poison-robust-learning", "a-", "a_", "tests", "baselines", "a" * 300],
)
def test_a_bad_name_is_wrong_usage_and_writes_nothing(
    name: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = call("new-task", name)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["file/mine", "x" * 300])
def test_a_folder_that_cannot_be_is_told(below: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, err = call("new-task", "sharp-loss", tmp_path / below)
    assert status == 2
    assert err.startswith(f"error: {tmp_path}")


def test_a_name_that_holds_the_templates_stays_whole(call: Call, tmp_path: Path) -> None:
    assert call("new-task", "an-example_task", tmp_path / "mine")[0] == 0
    assert 'id = "an-example_task"' in (tmp_path / "mine" / "an_example_task" / "task.toml").read_text()
