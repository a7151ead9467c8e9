"""Runs folders come from other people, too: no file in one hangs or breaks a command, or fills its memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept_jobs import BENCHMARK, PROTOCOL, TASK, write_job

from mlsbench.cli.report import _kept_audit
from mlsbench.scoring import Stored, read_record

Call = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return partial(write_job, tmp_path / "runs")


@pytest.fixture
def command(call: Call, tmp_path: Path) -> Call:
    """command("audit", …): status, output, errors."""
    return lambda verb, *more: call(
        verb, TASK, "--protocol", PROTOCOL, "--benchmark", BENCHMARK, "--runs", tmp_path / "runs", *more
    )


def arrays(path: Path, **changes: Any) -> None:
    with np.load(path) as archive:
        kept = dict(archive)
    np.savez(path, **{**kept, **changes})


def archive(path: Path, data: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name in ("train_logits", "test_logits", "member"):
            file.writestr(f"{name}.npy", data)


def header(*shape: int) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def one_array(path: Path) -> None:
    path.write_bytes(header(0))


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


SCORES: dict[str, Callable[[Path], None]] = {
    "pipe": pipe,
    "link": endless,
    "sparse": lambda path: os.truncate(path, 40 << 30),
    "one array": one_array,
    "no arrays": lambda path: archive(path, b"hello"),
    "compressed": lambda path: archive(path, header(1 << 22) + bytes(1 << 24), zipfile.ZIP_DEFLATED),
    "promises 1.5 TB": lambda path: archive(path, header(400, 10**9)),
    "other classes": lambda path: arrays(path, train_logits=np.zeros((400, 5000), np.float32)),
    "other test set": lambda path: arrays(path, test_logits=np.zeros((5, 10), np.float32)),
    "too wide a range": lambda path: arrays(path, train_logits=np.tile([1e308, -1e308], (400, 5))),
    "no members": lambda path: arrays(path, member=np.zeros(400, np.bool_)),
}


@pytest.mark.parametrize("harm", SCORES.values(), ids=SCORES.keys())
def test_scores_that_are_none_are_not_audited(command: Call, write: Write, harm: Callable[[Path], None]) -> None:
    harm(write(42).with_name("scores.npz"))
    status, _, errors = command("audit")
    assert (status, "nothing to audit" in errors) == (1, True), errors


RECORDS: dict[str, Callable[[Path], None]] = {
    "pipe": pipe,
    "link": endless,
    "sparse": lambda path: os.truncate(path, 40 << 30),
    "large numbers": lambda path: edit(path, metrics=dict.fromkeys(("test_acc", "privacy_score"), 1.7e308)),
    "many facts": lambda path: edit(path, environment={f"fact {i}": i for i in range(1000)}),
}


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("harm", RECORDS.values(), ids=RECORDS.keys())
def test_a_record_that_is_none_is_passed_over(command: Call, write: Write, harm: Callable[[Path], None]) -> None:
    harm(write(42))
    write(43)
    status, out, errors = command("table", "--format", "json")
    assert (status, "is no readable record" in errors) == (0, True), errors
    assert "missing 1/2" in out


def test_seeds_whose_members_are_not_complementary_are_no_pair(command: Call, write: Write) -> None:
    same = np.arange(400) < 200
    for seed in (42, 43):
        arrays(write(seed).with_name("scores.npz"), member=same)
    status, _, errors = command("audit")
    assert (status, "not complementary" in errors) == (1, True), errors


def test_a_copy_of_a_record_does_not_take_its_place(command: Call, write: Write) -> None:
    first = write(42)
    copy = first.parent.with_name("seed-42-copy")
    copy.mkdir()
    (copy / "record.json").write_bytes(first.read_bytes())
    edit(copy / "record.json", created="2026-02-01T00:00:00Z")
    (document,) = json.loads(command("audit", "--json")[1])
    assert document["seeds"][0]["record"] == hashlib.sha256(first.read_bytes()).hexdigest()


DOCUMENTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another entry": lambda document: document["entry"].update(name="somebody else"),
    "another benchmark": lambda document: document.update(benchmark="other"),
    "another seed": lambda document: document["seeds"][0].update(seed=44),
    "a seed twice": lambda document: document["seeds"].append(document["seeds"][0]),
    "a short curve": lambda document: document["seeds"][0]["attacks"][0].update(tprs=[0.5]),
    "no histogram": lambda document: document["seeds"][0].update(confidence_histogram={}),
    "an empty histogram": lambda document: document["seeds"][0]["confidence_histogram"].update(members=[0] * 24),
    "a large number": lambda document: document["seeds"][0].update(largest_advantage=1.7e308),
    "a rate of zero": lambda document: document["fprs"].__setitem__(0, 0.0),
}


def test_an_audit_of_something_else_is_not_taken(command: Call, write: Write) -> None:
    record = write(42)
    path, jobs = record.parent.parent / "audit.json", [Stored(record, read_record(record))]
    command("audit")
    document = path.read_text()
    assert _kept_audit(jobs) is not None
    for name, change in DOCUMENTS.items():
        changed = json.loads(document)
        change(changed)
        path.write_text(json.dumps(changed))
        assert _kept_audit(jobs) is None, name
    pipe(path)
    assert _kept_audit(jobs) is None


def test_no_name_of_a_folder_reaches_the_terminal_as_it_is(command: Call, write: Write) -> None:
    folder = write(42).parent.parent
    folder.rename(folder.with_name("x\x1b]0;title\x07\x1b[31m"))
    _, out, errors = command("audit")
    assert "audit.json" in errors
    assert not {"\x1b", "\x07"} & set(out + errors)


def test_no_name_of_a_metric_is_more_than_a_line(write: Write) -> None:
    path = write(42)
    edit(path, metrics={"\x1b]0;title\x07": 0.5})
    assert list(read_record(path).metrics) == ["\ufffd"]
