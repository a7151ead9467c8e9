"""`audit` attacks what jobs kept, takes other seeds as references, writes audit.json and says what it cannot audit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from kept_jobs import BENCHMARK, PROTOCOL, TASK, write_job
from safetensors.torch import save_file

from mlsbench.harness.models import build, initialize

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(seed, name=…, status=…): a job's files, of a model that is surer of members."""
    return partial(write_job, tmp_path)


@pytest.fixture
def audit(call: Call, tmp_path: Path) -> Call:
    return lambda *options: call("audit", TASK, *options, "--protocol", PROTOCOL, "--runs", tmp_path)


def test_two_pairs_are_each_others_references_and_the_document_lies_beside_the_seeds(
    audit: Call, write: Callable[..., Path], tmp_path: Path
) -> None:
    path, *_ = [write(seed) for seed in (42, 43, 44, 45)]
    status, output, _ = audit("mine", *(option for seed in (42, 43, 44, 45) for option in ("--seed", seed)))
    assert status == 0
    assert "lira-fixed" in output
    document = json.loads((path.parent.parent / "audit.json").read_text())
    assert [seed["references"] for seed in document["seeds"]] == [[44, 45], [44, 45], [42, 43], [42, 43]]
    assert document["entry"]["name"] == "mine"


def test_json_is_one_document_of_all_entries(audit: Call, write: Callable[..., Path]) -> None:
    write(42)
    write(42, "other")
    status, output, _ = audit("--json")
    assert status == 0
    assert [one["entry"]["name"] for one in json.loads(output)] == ["mine", "other"]


def test_an_entry_is_named_by_its_digest_too(audit: Call, write: Callable[..., Path]) -> None:
    write(42)
    write(42, "other")
    assert [one["entry"]["name"] for one in json.loads(audit(b"mine".hex(), "--json")[1])] == ["mine"]


def test_what_is_not_scored_or_damaged_is_left_out_and_said(audit: Call, write: Callable[..., Path]) -> None:
    write(42)
    write(43, status="collapsed")
    (write(44).parent / "scores.npz").write_text("nothing")
    status, output, _ = audit("mine", "--json")
    (document,) = json.loads(output)
    assert status == 0
    assert [seed["seed"] for seed in document["seeds"]] == [42]
    assert set(document["left_out"]) == {"seed 43", "seed 44"}


def test_nothing_to_audit_is_exit_status_1(audit: Call, write: Callable[..., Path]) -> None:
    write(42, status="collapsed")
    status, _, errors = audit("mine")
    assert status == 1
    assert "nothing to audit" in errors


def test_an_unknown_entry_is_a_mistake(audit: Call, write: Callable[..., Path]) -> None:
    write(42)
    write(42, "other")
    status, _, errors = audit("nobody")
    assert (status, "no entry 'nobody'; there is mine, other" in errors) == (2, True)


def test_only_the_seeds_that_were_asked_for_are_given_as_reasons(audit: Call, write: Callable[..., Path]) -> None:
    write(42, status="collapsed")
    write(43)
    for seed, reason in ((42, "seed 42: collapsed, not scored"), (99, "seed 99 is not kept")):
        status, _, errors = audit("mine", "--seed", seed)
        assert status == 1
        assert errors.splitlines()[-1].endswith(f"nothing to audit: {reason}")


@pytest.mark.parametrize("blocked", ["--export", "audit.json"])
def test_what_cannot_be_written_is_named(audit: Call, write: Callable[..., Path], tmp_path: Path, blocked: str) -> None:
    folder = write(42).parent.parent
    path = folder / "audit.json" if blocked == "audit.json" else tmp_path / "file"
    path.mkdir() if blocked == "audit.json" else path.write_text("")
    status, _, errors = audit("mine", *(["--export", path] if blocked == "--export" else []))
    assert status == 2
    assert re.search(rf"^error: mine, {BENCHMARK}: cannot write {re.escape(str(path))}", errors, re.MULTILINE)


def test_one_seed_is_no_seeds(audit: Call, write: Callable[..., Path]) -> None:
    write(42)
    assert audit("mine")[1].splitlines()[0].endswith(f"{PROTOCOL}, seed 42")


def test_records_of_other_data_are_refused(audit: Call, write: Callable[..., Path]) -> None:
    write(42, data="d" * 64)
    status, _, errors = audit("mine")
    assert (status, "other data" in errors) == (2, True)


def test_export_writes_a_folder_for_each_entry_and_benchmark(
    audit: Call, write: Callable[..., Path], tmp_path: Path
) -> None:
    write(42)
    write(43)
    assert audit("--export", tmp_path / "out", "--json")[0] == 0
    (readme,) = (tmp_path / "out").glob(f"mine-agent-*/{BENCHMARK}/README.txt")
    assert "42, 43" in readme.read_text()


def test_gradients_are_attacked_where_weights_are_kept_and_the_reason_is_given_where_not(
    audit: Call, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlsbench.harness.white_box.EXAMPLES", 20)
    model = build("resnet20", 10, (32, 32, 1))
    initialize(model, 0)
    save_file(model.state_dict(), write(42).with_name("weights.safetensors"))
    write(43)
    status, output, _ = audit("mine", "--white-box", "--device", "cpu", "--json")
    (document,) = json.loads(output)
    first, second = document["seeds"]
    names = {"grad-w-l1", "grad-w-l2", "grad-x-l1", "grad-x-l2"}
    assert status == 0
    assert {r["name"]: r["scored"] for r in first["attacks"] if r["panel"] == "white-box"} == dict.fromkeys(names, 40)
    assert {name for name, why in second["not_run"].items() if "no such file" in why} == names
    assert names.isdisjoint(r["name"] for r in second["attacks"])
