"""`table` shows the records of one key and precision in every format and says what it leaves out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlsbench.harness.split import read_key
from mlsbench.scoring import Entry, Record, Setting, job_folder, write_record
from mlsbench.tasks import get_task

TASK = "security-membership-inference-defense"
NAME = "[red]a|b&c</td>=1"
SETTING: dict[str, Any] = {
    "task": TASK, "task_version": 1, "frozen": "f" * 64, "protocol": "smoke", "split_key": read_key("public").digest,
    "sandbox": "process", "device_kind": "cpu", "precision": "fp32", "torch": "2.6",
    "model": "resnet20", "data": "d" * 64,
}  # fmt: skip
BENCHMARKS = ("resnet20-digits", "vgg16bn-digits", "mobilenetv2-digits")

Call = Callable[..., tuple[int, str, str]]


def write(runs: Path, score: float, name: str = NAME, seeds: Sequence[int] = (42, 43), **changes: Any) -> Path:
    """Scored records of all benchmarks."""
    entry = Entry(name=name, type="agent", submission="1" * 64)
    for benchmark in BENCHMARKS:
        for seed in seeds:
            setting = Setting(**{**SETTING, "benchmark": benchmark, "seed": seed, **changes})
            metrics = {"test_acc": score, "mia_auc": 0.5, "privacy_gap": 0.0, "privacy_score": score + seed / 1e4}
            record = Record(
                job_key=setting.job_key(entry.submission), entry=entry, setting=setting, status="scored",
                metrics=metrics, created=datetime(2026, 1, 1, tzinfo=UTC),
            )  # fmt: skip
            path = write_record(job_folder(runs, setting, entry), record)
    return path


@pytest.fixture
def show(call: Call, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    return lambda *options: call("table", TASK, "--protocol", "smoke", "--runs", tmp_path, *options)


@pytest.mark.parametrize("format_", ["rich", "md", "csv", "latex", "json"])
def test_every_format_has_the_score(show: Call, tmp_path: Path, format_: str) -> None:
    write(tmp_path, 0.7)
    status, output, errors = show("--format", format_)
    assert (status, errors) == (0, "")
    assert "0.704" in output


def test_csv_and_json_keep_a_hostile_name_as_it_is(show: Call, tmp_path: Path) -> None:
    write(tmp_path, 0.7)
    assert next(csv.DictReader(io.StringIO(show("--format", "csv")[1])))["name"] == NAME
    assert json.loads(show("--format", "json")[1])["rows"][0]["name"] == NAME
    assert NAME in show()[1]


def test_seeds_that_nobody_has_run_are_said_with_the_table_that_can_be_had(show: Call, tmp_path: Path) -> None:
    write(tmp_path, 0.7, seeds=(42,))
    line = "there is no record of seed 43; --seed 42 makes a table of the rest"
    assert json.loads(show("--format", "json")[1])["left_out"] == [line]
    assert "there is no record" not in show("--seed", "42")[1]


def test_records_of_another_key_are_left_out_and_said(show: Call, tmp_path: Path) -> None:
    write(tmp_path, 0.7)
    write(tmp_path, 0.9, "other", split_key="a" * 64)
    write(tmp_path, 0.6, "third")
    document = json.loads(show("--format", "json")[1])
    assert {row["name"] for row in document["rows"]} == {NAME, "third"}
    (line,) = document["left_out"]
    assert "6 records left out: " in line
    assert "split key" in line


def test_records_of_another_precision_are_left_out_and_said(show: Call, tmp_path: Path) -> None:
    write(tmp_path, 0.7)
    write(tmp_path, 0.6, "third")
    write(tmp_path, 0.9, "other", precision="bf16")
    output = show("--format", "md")[1]
    assert "other" not in output
    assert "6 records left out: precision bf16, the table's is fp32" in output


def test_two_keys_are_never_mixed_and_the_rest_can_be_had(show: Call, tmp_path: Path) -> None:
    write(tmp_path, 0.7, "mine")
    write(tmp_path, 0.9, "other", split_key="a" * 64)
    write(tmp_path, 0.8, "another", split_key="a" * 64)
    default, public = (json.loads(show("--format", "json", *more)[1]) for more in ((), ("--key", "public")))
    assert {row["name"] for row in default["rows"]} == {"other", "another"}
    assert {row["name"] for row in public["rows"]} == {"mine"}
    assert "(--key chooses)" in default["left_out"][0]


def test_the_key_that_is_asked_for_chooses_the_records(show: Call, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    write(tmp_path, 0.7)
    write(tmp_path, 0.6, "third")
    write(tmp_path, 0.9, "secret", split_key=read_key(str(key)).digest)
    assert {r["name"] for r in json.loads(show("--format", "json", "--key", key)[1])["rows"]} == {"secret"}


def test_compare_prints_paired_differences(show: Call, tmp_path: Path) -> None:
    write(tmp_path, 0.7, "one")
    write(tmp_path, 0.6, "two")
    status, output, _ = show("--compare", "one", "two")
    assert status == 0
    assert "0.100" in output


def test_a_damaged_record_is_warned_of_and_the_rest_is_shown(show: Call, tmp_path: Path) -> None:
    write(tmp_path, 0.7).write_text('{"schema_version": 1')
    status, output, errors = show()
    assert status == 0
    assert NAME in output
    assert errors.startswith("warning: ")
    assert "is no readable record" in errors
    assert errors.count("\n") == 1


def test_a_folder_without_records_is_said(show: Call) -> None:
    status, output, errors = show()
    assert (status, "no entries" in output) == (0, True)
    assert "there are no records in" in errors


def test_published_rows_stand_beside_ours_on_request(call: Call, tmp_path: Path) -> None:
    document = json.loads(call("table", TASK, "--runs", tmp_path, "--published", "--format", "json")[1])
    published = {row.name for row in get_task(TASK).published()}
    assert published
    assert {row["name"].removesuffix(" (published)") for row in document["rows"]} == published
