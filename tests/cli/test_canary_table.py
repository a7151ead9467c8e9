"""The results table has a column for canaries where the protocol has canaries, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlsbench.scoring import Entry, Record, Setting, job_folder, write_record
from mlsbench.tasks import get_task

TASK = "security-membership-inference-defense"
Call = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(("protocol", "shown"), [("smoke+canaries=60", 0.75), ("canary", 0.75), ("smoke", None)])
def test_a_protocol_with_canaries_has_their_column(
    call: Call, tmp_path: Path, protocol: str, shown: float | None
) -> None:
    benchmark = get_task(TASK).spec.protocols[protocol.partition("+")[0]].benchmarks[0]
    for seed, auc in ((42, 0.7), (43, 0.8)):
        setting = Setting(
            task=TASK, task_version=1, frozen="f" * 64, benchmark=benchmark, protocol=protocol, seed=seed,
            model="resnet20",
            split_key="a" * 64, sandbox="process", device_kind="cpu", precision="fp32", torch="2.6", data="d" * 64,
        )  # fmt: skip
        entry = Entry(name="mine", type="agent", submission="1" * 64)
        record = Record(
            job_key=setting.job_key(entry.submission), entry=entry, setting=setting, status="scored",
            metrics={"test_acc": 0.9}, audit={"canary_auc": auc}, created=datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        write_record(job_folder(tmp_path, setting, entry), record)
    options = ("--protocol", protocol, "--benchmark", benchmark, "--seed", 42, "--seed", 43, "--runs", tmp_path)
    status, output, _ = call("table", TASK, *options, "--format", "json")
    table = json.loads(output)
    assert status == 0
    assert ("canary_auc" in [column["name"] for column in table["columns"]]) == (shown is not None)
    if shown is not None:
        assert table["rows"][0]["metrics"]["canary_auc"]["mean"] == pytest.approx(shown)
