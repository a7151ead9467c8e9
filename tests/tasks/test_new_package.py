"""Claim: `new-task` writes a whole package under the name it is given, and never over anything that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlsbench import UserError
from mlsbench.tasks import list_tasks, open_task, write_package


def test_the_name_stands_everywhere_that_the_templates_stood(tmp_path: Path) -> None:
    written = write_package("sharp-loss", tmp_path / "new")
    assert sorted(str(path.relative_to(tmp_path / "new")) for path in written) == [
        "pyproject.toml",
        "sharp_loss/__init__.py",
        "sharp_loss/baselines/cross_entropy.py",
        "sharp_loss/custom_loss.py",
        "sharp_loss/instruction.md",
        "sharp_loss/measure.py",
        "sharp_loss/task.toml",
        "tests/test_sharp_loss.py",
    ]
    texts = "".join(path.read_text() for path in written)
    assert "example" not in texts
    assert 'sharp-loss = "sharp_loss:FOLDER"' in texts
    assert open_task(tmp_path / "new" / "sharp_loss").spec.id == "sharp-loss"


@pytest.mark.parametrize("there", ["file", "folder with a file", "link to an empty folder"])
def test_nothing_that_is_there_is_written_over(there: str, tmp_path: Path) -> None:
    target = tmp_path / "new"
    if there == "file":
        target.write_text("mine")
    elif there == "folder with a file":
        target.mkdir()
        (target / "pyproject.toml").write_text("mine")
    else:
        (tmp_path / "other").mkdir()
        target.symlink_to(tmp_path / "other")
    before = {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")}
    with pytest.raises(UserError, match="is there already and not an empty folder: name another"):
        write_package("sharp-loss", target)
    assert {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")} == before


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    assert all(path.parent == tmp_path or tmp_path in path.parents for path in write_package("sharp-loss", tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "take small letters, digits"),
        ("Sharp", "take small letters, digits"),
        ("3d-loss", "a letter first"),
        ("../sharp", "take small letters, digits"),
        ("sharp loss", "take small letters, digits"),
        ("schärfe", "take small letters, digits"),
        ("sharp\nloss", "take small letters, digits"),
        ("s" * 65, "64 at most"),
        ("lambda", "a word of Python's own"),
        ("json", "there is a Python package json already"),
        ("mlsbench", "there is a Python package mlsbench already"),
        (next(iter(list_tasks())), "there is a task"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_words_and_nothing_is_written(
    name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        write_package(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()
