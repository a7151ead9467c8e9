"""Claim: a submission's file is opened once, follows no link, never blocks, and is bounded UTF-8 text."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from mlsbench import UserError
from mlsbench.tasks import SubmissionRejected, TaskFolder, read_submission

FILE = "custom_membership_defense.py"


def rejection(path: Path, task: TaskFolder) -> SubmissionRejected:
    """The error with which reading `path` ends."""
    with pytest.raises(SubmissionRejected) as caught:
        read_submission(path, task)
    return caught.value


@pytest.fixture
def file(tmp_path: Path, task: TaskFolder) -> Path:
    """A copy of the template in a folder of its own."""
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / FILE).write_bytes((task.path / FILE).read_bytes())
    return tmp_path / "entry" / FILE


def test_the_digest_is_that_of_the_bytes_that_were_read(file: Path, task: TaskFolder) -> None:
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    submission = read_submission(file, task)
    assert submission.data == file.read_bytes()
    assert submission.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_folder_is_read_as_the_file_of_the_contracts_name_in_it(file: Path, task: TaskFolder) -> None:
    assert read_submission(file.parent, task) == read_submission(file, task)


def test_a_file_may_have_any_name(file: Path, task: TaskFolder) -> None:
    renamed = file.rename(file.with_name("idea.txt"))
    assert read_submission(renamed, task).text == task.template()


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_other_line_endings_become_newlines(file: Path, task: TaskFolder, ending: str) -> None:
    file.write_bytes(task.template().replace("\n", ending).encode())
    assert read_submission(file, task).text == task.template()


def test_a_leading_byte_order_mark_is_dropped(file: Path, task: TaskFolder) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + task.template().encode())
    assert read_submission(file, task).text == task.template()


def test_no_descriptor_stays_open(file: Path, task: TaskFolder) -> None:
    (file.parent / "fifo").mkdir()
    os.mkfifo(file.parent / "fifo" / FILE)
    before = os.listdir("/proc/self/fd")
    read_submission(file.parent, task)
    rejection(file.parent / "fifo", task)
    rejection(file.parent.parent, task)
    assert os.listdir("/proc/self/fd") == before


def test_a_rejection_is_a_users_mistake_that_names_the_path(tmp_path: Path, task: TaskFolder) -> None:
    error = rejection(tmp_path / "none.py", task)
    assert isinstance(error, UserError)
    assert error.reason == "there is no such file"
    assert str(error) == f"{tmp_path / 'none.py'}: {error.reason}"


def test_a_folder_without_the_file_is_rejected(tmp_path: Path, task: TaskFolder) -> None:
    assert rejection(tmp_path, task).reason == f"the folder holds no {FILE}"


def test_a_path_that_no_file_can_have_is_rejected(task: TaskFolder) -> None:
    assert rejection(Path("a\0b"), task).reason == "there is no such file"


def test_a_link_to_a_file_is_rejected(file: Path, task: TaskFolder) -> None:
    link = file.with_name("link.py")
    link.symlink_to(file)
    assert rejection(link, task).reason == "a symbolic link, which is not followed"


def test_a_link_inside_a_folder_is_rejected(file: Path, task: TaskFolder, tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to(file)
    assert rejection(tmp_path, task).reason == "a symbolic link, which is not followed"


def test_a_link_to_a_folder_is_rejected(file: Path, task: TaskFolder, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file.parent)
    with pytest.raises(SubmissionRejected):
        read_submission(tmp_path / "link", task)


def test_a_named_pipe_without_a_writer_is_rejected_at_once(tmp_path: Path, task: TaskFolder) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert rejection(tmp_path / "pipe", task).reason == "not a regular file"


def test_a_device_is_rejected(task: TaskFolder) -> None:
    assert rejection(Path("/dev/zero"), task).reason == "not a regular file"


def test_a_socket_is_rejected(tmp_path: Path, task: TaskFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        assert rejection(Path("s"), task).reason.startswith("unreadable: ")


def test_a_folder_in_place_of_the_file_is_rejected(tmp_path: Path, task: TaskFolder) -> None:
    (tmp_path / FILE).mkdir()
    assert rejection(tmp_path, task).reason == "not a regular file"


def test_64_kib_are_accepted_and_one_byte_more_is_not(file: Path, task: TaskFolder) -> None:
    data = task.template().replace("# === END", "#\n# === END").encode()
    data = data.replace(b"#\n", b"#" * (64 * 1024 - len(data) + 1) + b"\n")
    assert len(data) == 64 * 1024
    file.write_bytes(data)
    assert read_submission(file, task).data == data
    file.write_bytes(data + b"\n")
    assert rejection(file, task).reason == "larger than 65536 bytes"


def test_a_gigabyte_is_rejected_without_being_read(tmp_path: Path, task: TaskFolder) -> None:
    with (tmp_path / FILE).open("wb") as sparse:
        sparse.truncate(1 << 30)
    assert rejection(tmp_path, task).reason == "larger than 65536 bytes"


def test_a_nul_byte_is_rejected_with_its_place(file: Path, task: TaskFolder) -> None:
    file.write_bytes(b"#\0" + file.read_bytes())
    assert rejection(file, task).reason == "has a NUL byte at byte 1"


def test_bytes_that_are_not_utf8_are_rejected_with_their_place(file: Path, task: TaskFolder) -> None:
    file.write_bytes(b"# \xe4\n" + file.read_bytes())
    assert rejection(file, task).reason == "not UTF-8 at byte 2"


def test_every_reason_is_one_printable_line_of_at_most_500_characters() -> None:
    error = SubmissionRejected("line 1\nline 2\x1b[2J" * 1000, Path("file.py"))
    assert error.reason.startswith("line 1�line 2�[2Jline 1")
    assert error.reason.isprintable()
    assert len(error.reason) == 500
    assert str(error) == f"file.py: {error.reason}"


def test_control_characters_of_a_path_do_not_reach_the_message(tmp_path: Path, task: TaskFolder) -> None:
    assert str(rejection(tmp_path / "\x1b[31m\n", task)).isprintable()
