"""`report` writes one page, audits first what has no audit of the table's own records, and says what it cannot."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kept_jobs import BENCHMARK, PROTOCOL, TASK, write_job

Call = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return partial(write_job, tmp_path / "runs")


@pytest.fixture
def report(call: Call, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """report(…): the exit status and what was said; the page is page.html."""

    def run(*more: object) -> tuple[int, str]:
        output = tmp_path / "page.html"
        places = ("--runs", tmp_path / "runs", "-o", output)
        status, out, errors = call("report", TASK, "--protocol", PROTOCOL, "--benchmark", BENCHMARK, *places, *more)
        assert out == ""
        return status, errors

    return run


def entries(tmp_path: Path) -> list[dict[str, Any]]:
    page = (tmp_path / "page.html").read_text()
    found = re.search('<script type="application/json" id="data">(.*?)</script>', page)
    assert found
    listed: list[dict[str, Any]] = json.loads(found[1])["entries"]
    return listed


def test_it_audits_what_has_no_audit_and_writes_the_page(
    report: Callable[..., Any], write: Write, tmp_path: Path
) -> None:
    path, _ = write(42), write(43)
    status, told = report()
    assert status == 0
    assert (path.parent.parent / "audit.json").is_file()
    assert "audit.json" in told
    (entry,) = entries(tmp_path)
    part = entry["benchmarks"][BENCHMARK]
    assert (entry["name"], part["audit"]["seeds"], part["values"]["test_acc"]) == ("mine", [42, 43], [0.9, 0.9])
    assert part["curves"]["42"]["mia_auc"] == [0.5, 0.51, 0.52, 0.53, 0.54, 0.55]


def test_an_audit_of_the_same_records_is_taken_as_it_is(
    report: Callable[..., Any], write: Write, tmp_path: Path
) -> None:
    path = write(42)
    report()
    document = path.parent.parent / "audit.json"
    marked = json.loads(document.read_text())
    marked["seeds"][0]["findings"] = {"inverted": "this very document"}
    document.write_text(json.dumps(marked))
    status, told = report()
    assert (status, "audit.json" in told) == (0, False)
    assert "this very document" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("change", ["another record", "one more record", "no curves", "damaged"])
def test_an_audit_that_does_not_fit_is_made_anew(report: Callable[..., Any], write: Write, change: str) -> None:
    path = write(42)
    report()
    document = path.parent.parent / "audit.json"
    before = json.loads(document.read_text())
    if change == "another record":
        path.write_text(path.read_text().replace('"attempts": 1', '"attempts": 2'))
    elif change == "one more record":
        write(43)
    elif change == "no curves":
        document.write_text(json.dumps({**before, "fprs": []}))
    else:
        document.write_text("{")
    assert "audit.json" in report()[1]
    after = json.loads(document.read_text())
    assert after["fprs"]
    assert (after["seeds"] != before["seeds"]) == (change in ("another record", "one more record"))


def test_seeds_beyond_the_plan_are_references_but_not_in_the_means(
    report: Callable[..., Any], write: Write, tmp_path: Path
) -> None:
    path, *_ = [write(seed) for seed in (42, 43, 44, 45)]
    report()
    audit = json.loads((path.parent.parent / "audit.json").read_text())
    assert next(seed["references"] for seed in audit["seeds"]) == [44, 45]
    (entry,) = entries(tmp_path)
    assert entry["benchmarks"][BENCHMARK]["audit"]["seeds"] == [42, 43]


@pytest.mark.parametrize(
    ("changes", "why"), [({"status": "collapsed"}, "collapsed, not scored"), ({"data": "d" * 64}, "other data")]
)
def test_what_cannot_be_audited_says_why_on_the_page(
    report: Callable[..., Any], write: Write, tmp_path: Path, changes: dict[str, str], why: str
) -> None:
    write(42, **changes)
    status, told = report()
    assert (status, why in told) == (0, True)
    assert why in (tmp_path / "page.html").read_text()
    assert entries(tmp_path)[0]["benchmarks"][BENCHMARK]["audit"] is None


def test_the_page_is_the_same_each_time(report: Callable[..., Any], write: Write, tmp_path: Path) -> None:
    write(42)
    report()
    first = (tmp_path / "page.html").read_bytes()
    report()
    assert (tmp_path / "page.html").read_bytes() == first


def test_mistakes_are_said_before_anything_is_audited(
    report: Callable[..., Any], write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, told = report()
    assert (status, "there are no records of" in told) == (2, True)
    path = write(42)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    status, told = report()
    assert (status, "pip install 'mlsbench[report]'" in told) == (2, True)
    assert not (path.parent.parent / "audit.json").exists()


def test_an_output_that_cannot_be_written_is_a_mistake(
    report: Callable[..., Any], write: Write, tmp_path: Path
) -> None:
    path = write(42)
    status, told = report("-o", tmp_path / "missing" / "page.html")
    assert (status, "--output: there is no folder" in told) == (2, True)
    assert not (path.parent.parent / "audit.json").exists()
    status, told = report("-o", tmp_path)
    assert (status, f"--output: {tmp_path}: " in told) == (2, True)
