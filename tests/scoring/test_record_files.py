"""A record exists whole or not at all, and a damaged one stops nobody from reading the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsbench import UserError
from mlsbench.scoring import Record, find_records, read_record, write_record, write_whole

# Python tells its audit hooks of a rename before it does it: the kill comes exactly between writing and renaming.
KILLED_BEFORE_RENAME = """
import os, signal, sys
from pathlib import Path
from mlsbench.scoring.record import Record, write_record
record = Record.model_validate_json(sys.stdin.read())
sys.addaudithook(lambda event, args: os.kill(os.getpid(), signal.SIGKILL) if event == "os.rename" else None)
write_record(Path(sys.argv[1]), record)
"""


def killed_while_writing(folder: Path, record: Record) -> None:
    command = [sys.executable, "-c", KILLED_BEFORE_RENAME, str(folder)]
    process = subprocess.run(command, input=record.model_dump_json(), text=True, timeout=60, check=False)
    assert process.returncode == -signal.SIGKILL


def test_a_written_record_is_read_back(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    path = write_record(tmp_path / "new" / "folder", make_record())
    assert path == tmp_path / "new" / "folder" / "record.json"
    assert read_record(path) == make_record()


def test_a_kill_between_writing_and_renaming_leaves_no_record(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    killed_while_writing(tmp_path, make_record())
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
    assert find_records(tmp_path) == ([], [])


def test_a_kill_while_replacing_keeps_the_earlier_record(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    write_record(tmp_path, make_record(status="infra_failed"))
    killed_while_writing(tmp_path, make_record())
    assert read_record(tmp_path / "record.json").status == "infra_failed"


def test_the_next_write_after_a_kill_succeeds(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    killed_while_writing(tmp_path, make_record())
    write_record(tmp_path, make_record())
    assert [stored.record for stored in find_records(tmp_path)[0]] == [make_record()]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "record.json").mkdir()
    with pytest.raises(OSError, match=r"record\.json"):
        write_whole(tmp_path / "record.json", b"data")
    assert os.listdir(tmp_path) == ["record.json"]


def test_writing_replaces_a_link_and_not_what_it_points_to(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "record.json").symlink_to(tmp_path / "precious")
    write_record(tmp_path, make_record())
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.parametrize("damage", ["half", "empty", "binary", "list", "null", "later version", "nan"])
def test_a_damaged_record_is_an_error_that_names_the_file(
    tmp_path: Path, make_record: Callable[..., Record], damage: str
) -> None:
    path = write_record(tmp_path, make_record())
    text = path.read_text()
    broken = {
        "half": text[: len(text) // 2].encode(),
        "empty": b"",
        "binary": b"\x80\x04\x95\xff",
        "list": b"[]",
        "null": b"null",
        "later version": text.replace('"schema_version": 1', '"schema_version": 2').encode(),
        "nan": text.replace('"acc": 0.5', '"acc": NaN').encode(),
    }
    path.write_bytes(broken[damage])
    with pytest.raises(UserError, match=r"record\.json is no readable record \(.+\); move it away"):
        read_record(path)


def test_the_error_says_which_field_is_wrong(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    path = write_record(tmp_path, make_record())
    raw = json.loads(path.read_text())
    raw["setting"]["seed"] = "many"
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"setting\.seed"):
        read_record(path)


def test_a_missing_record_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no record .*record\.json: name the folder of a job"):
        read_record(tmp_path / "record.json")


def test_a_damaged_record_is_reported_and_the_others_are_found(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    write_record(tmp_path / "a" / "b", make_record(seed=43))
    write_record(tmp_path / "c", make_record(seed=42))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "record.json").write_text("{")
    stored, problems = find_records(tmp_path)
    assert [(s.path, s.record.setting.seed) for s in stored] == [
        (tmp_path / "a" / "b" / "record.json", 43),
        (tmp_path / "c" / "record.json", 42),
    ]
    assert len(problems) == 1
    assert str(tmp_path / "bad" / "record.json") in problems[0]


def test_links_to_folders_are_not_followed(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    write_record(tmp_path / "outside", make_record())
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "loop").symlink_to(tmp_path / "outside")
    assert find_records(tmp_path / "runs") == ([], [])


def test_a_folder_that_does_not_exist_holds_no_records(tmp_path: Path) -> None:
    assert find_records(tmp_path / "none") == ([], [])
