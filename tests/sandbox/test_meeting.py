"""A worker that inherits nothing still reaches its trainer, and a trainer does not wait for one that cannot come."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlsbench.sandbox.channel import SandboxError
from mlsbench.sandbox.meeting import NAME, Meeting, MetTree

WORKER = """
import os, sys
from mlsbench.sandbox.meeting import meet
channel = meet(sys.argv[1])
print("printed", flush=True)
os.write(2, b" and told")
os.write(channel, b"hello")
os.read(channel, 1)
"""


def worker(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(folder / NAME)])


def log() -> io.FileIO:
    return io.FileIO(os.memfd_create("log"), "r+")


def test_what_the_worker_sends_arrives_however_long_the_folders_path_is(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 40) / "0"
    meeting = Meeting(folder)
    short = tmp_path / "short"  # a container has a short name for the folder, too
    short.symlink_to(folder)
    with worker(short) as process:
        channel, (output, life) = meeting.accept(60, lambda: process.poll() is None)
        assert channel.recv(5) == b"hello"
        channel.close()
    assert os.pread(output.fileno(), 100, 0) == b"printed\n and told"
    output.close()
    life.close()


def test_a_worker_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="never reached the channel"):
        Meeting(tmp_path / "0").accept(3600, lambda: False)


def test_a_worker_that_does_not_come_in_time_is_our_failure(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="never reached the channel"):
        Meeting(tmp_path / "0").accept(0, lambda: True)


def test_only_one_worker_can_come(tmp_path: Path) -> None:
    meeting = Meeting(tmp_path / "0")
    with worker(tmp_path / "0") as first:
        channel, files = meeting.accept(60, lambda: first.poll() is None)
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path / "0" / NAME)], stderr=subprocess.PIPE
        ) as second:
            assert b"ConnectionRefusedError" in second.communicate()[1]
        channel.close()
    for file in files:
        file.close()


def test_the_end_is_asked_for_once_and_leaves_the_output_and_no_folder(tmp_path: Path) -> None:
    patience: list[float] = []
    meeting, kept = Meeting(tmp_path / "0"), log()

    def end(seconds: float) -> str:
        patience.append(seconds)
        process.wait()
        return "exited with status 0"

    with worker(tmp_path / "0") as process:
        tree = MetTree(meeting, kept, end, lambda: process.poll() is None)
        channel = tree.connect(60)
        assert tree.connect(60) is channel
        channel.sendall(b"x")
        assert tree.ended() == "exited with status 0"
        tree.kill()
    assert patience == [1]
    assert os.pread(kept.fileno(), 100, 0) == b"printed\n and told"
    assert not (tmp_path / "0").exists()
    kept.close()


def test_a_worker_that_never_looks_at_its_channel_ends_with_its_trainer(tmp_path: Path) -> None:
    meeting = Meeting(tmp_path / "0")
    spin = "import sys\nfrom mlsbench.sandbox.meeting import meet\nmeet(sys.argv[1])\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin, str(tmp_path / "0" / NAME)]) as process:
        channel, files = meeting.accept(60, lambda: process.poll() is None)
        for ours in (channel, *files):
            ours.close()
        assert process.wait(60) == -signal.SIGKILL
