"""No name leaves its folder, and no job writes over another's record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlsbench import UserError
from mlsbench.scoring import Entry, Record, Setting, entry_folder, job_folder, slug, write_record


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relaxloss", "relaxloss"),
        ("Qwen3.6-Plus:free", "qwen3-6-plus-free"),
        ("../x", "x"),
        ("..", "entry"),
        ("", "entry"),
        ("漢字", "entry"),
        ("Ünïcode", "unicode"),
        ("<script>", "script"),
        ("=cmd()", "cmd"),
        ("a/b\\c\x00d\n", "a-b-c-d"),
        ("x" * 10_000, "x" * 40),
        ("x" * 39 + " y", "x" * 39),
        ("--a--", "a"),
    ],
)
def test_a_name_becomes_a_safe_slug(name: str, expected: str) -> None:
    assert slug(name) == expected


def entry(name: str = "erm", **changes: Any) -> Entry:
    return Entry(**{"name": name, "type": "baseline", "submission": "0123456789abcdef" * 4, **changes})


def test_the_entry_folder_is_as_documented(tmp_path: Path) -> None:
    folder = entry_folder(tmp_path, "demo", "paper+epochs=3", entry("Some Name", type="agent"))
    assert folder == tmp_path / "demo" / "paper+epochs=3" / "some-name-agent-0123456789ab"


@pytest.mark.parametrize("bad", ["..", ".", "", "a/b", "/abs", "a\\b", "a\x00", "a\n", "x" * 300])
@pytest.mark.parametrize("where", ["task", "protocol"])
def test_a_task_or_protocol_that_is_a_path_is_an_error(tmp_path: Path, bad: str, where: str) -> None:
    names = {"task": "demo", "protocol": "paper", where: bad}
    with pytest.raises(UserError, match="no name of a task, protocol or benchmark"):
        entry_folder(tmp_path, names["task"], names["protocol"], entry())


def test_the_first_job_gets_the_plain_folder(tmp_path: Path, make_setting: Callable[..., Setting]) -> None:
    folder = job_folder(tmp_path, make_setting(), entry())
    assert folder == entry_folder(tmp_path, "demo", "paper", entry()) / "one" / "seed-42"


def stored(tmp_path: Path, record: Record) -> Path:
    folder = job_folder(tmp_path, record.setting, record.entry)
    write_record(folder, record)
    return folder


def test_the_same_job_gets_its_folder_again(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    assert stored(tmp_path, make_record()) == stored(tmp_path, make_record())


@pytest.mark.parametrize("change", [{"split_key": "b" * 64}, {"torch": "2.9"}, {"device_kind": "cuda"}], ids=str)
def test_a_job_of_another_setting_gets_a_folder_of_its_own(
    tmp_path: Path, make_record: Callable[..., Record], change: dict[str, str]
) -> None:
    first = stored(tmp_path, make_record())
    other = make_record(**change)
    assert stored(tmp_path, other) == first.with_name(f"seed-42-{other.job_key[:8]}")
    assert stored(tmp_path, other) == first.with_name(f"seed-42-{other.job_key[:8]}")


def test_a_job_keeps_its_own_folder_when_the_plain_one_becomes_free(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    first = stored(tmp_path, make_record())
    own = stored(tmp_path, make_record(torch="2.9"))
    (first / "record.json").unlink()
    assert stored(tmp_path, make_record(torch="2.9")) == own


def test_a_damaged_record_is_not_written_over(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    first = stored(tmp_path, make_record())
    (first / "record.json").write_text("{")
    assert stored(tmp_path, make_record()) != first
