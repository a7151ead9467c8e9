"""`grade` checks a whole list before it runs anything, grades it as one plan, and a rejected file harms no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TASK = "security-membership-inference-defense"
TINY = (
    "--protocol", "smoke", "--benchmark", "resnet20-digits", "--seed", "42", "--override", "epochs=1",
    "--override", "members=64", "--sandbox", "process", "--device", "cpu",
)  # fmt: skip
LOSS = "class MembershipDefense:\n    def compute_loss(self, logits, labels, epoch):\n        return "
GOOD, ODD = (f"{LOSS}{text}\n" for text in ("F.cross_entropy(logits, labels)", "logits.sum() * float('nan')"))

Call = Callable[..., tuple[int, str, str]]


def write(folder: Path, *lines: Any) -> Path:
    """A list of these lines, texts as they are, beside the files that they name."""
    (folder / "good.py").write_text(GOOD)
    (folder / "odd.py").write_text(ODD)
    (folder / "bad.py").write_text("import os\n")
    path = folder / "list.jsonl"
    path.write_text("".join((text if isinstance(text, str) else json.dumps(text)) + "\n" for text in lines))
    return path


def line(submission: str, **more: str) -> dict[str, str]:
    return {"task": TASK, "submission": submission, **more}


@pytest.fixture(scope="module")
def graded(mlsbench_run: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("grade")
    lines = [
        line("good.py", name="one", type="agent"), "", line("bad.py", name="two|<b>", type="agent"),
        line("good.py", name="one", type="agent"), line("odd.py"),
    ]  # fmt: skip
    path = write(folder, *lines)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    return mlsbench_run("grade", "--submission", path, "--output-dir", folder / "out", *TINY, cwd=elsewhere), folder


def reports(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "out").glob("report-*.json"))]


def test_a_rejected_file_is_a_row_and_stops_no_other(graded: tuple[Any, Path]) -> None:
    done, folder = graded
    assert done.returncode == 3, done.stderr
    lines = {row["line"]: row for row in reports(folder)[0]["lines"]}
    assert lines[1]["jobs"] in ({"scored": 1}, {"collapsed": 1})
    assert (lines[3]["jobs"], lines[3]["records"], lines[3]["sha256"]) == ({"rejected": 1}, [], None)
    assert "imports 'os'" in lines[3]["reason"]
    rows = reports(folder)[0]["tables"][0]["rows"]
    assert {(row["name"], row["status"]) for row in rows if row["name"] == "two|<b>"} == {("two|<b>", "rejected 1/1")}


def test_a_line_that_repeats_another_is_graded_once(graded: tuple[Any, Path]) -> None:
    _, folder = graded
    lines = {row["line"]: row for row in reports(folder)[0]["lines"]}
    assert (lines[4]["repeats"], lines[4]["records"]) == (1, lines[1]["records"])
    assert len(list((folder / "out" / "runs").rglob("record.json"))) == 2


def test_a_line_without_name_and_type_gets_the_files_name(graded: tuple[Any, Path]) -> None:
    last = reports(graded[1])[0]["lines"][-1]
    assert (last["line"], last["name"], last["type"]) == (5, "odd", "vanilla")


def test_the_document_for_people_has_every_line_and_no_markup_of_theirs(graded: tuple[Any, Path]) -> None:
    done, folder = graded
    (path,) = (folder / "out").glob("report-*.md")
    text = path.read_text()
    assert f"report: {path}" in done.stdout
    assert r"| 3 | bad.py | two\|&lt;b&gt; | agent | – | 1 rejected (line 1: imports 'os'; allowed" in text
    assert "repeats line 1, graded once" in text


def test_the_same_command_continues_and_writes_a_report_of_its_own(graded: tuple[Any, Path], mlsbench_run: Any) -> None:
    _, folder = graded
    write(folder, line("good.py", name="one", type="agent"))
    done = mlsbench_run("grade", "--submission", folder / "list.jsonl", "--output-dir", folder / "out", *TINY, "--json")
    assert "1 of 1 jobs are finished already" in done.stderr
    assert len(reports(folder)) == 2
    assert json.loads(done.stdout) in reports(folder)
    assert done.returncode in (0, 1)


def test_every_mistake_is_named_with_file_and_line_before_anything_runs(call: Call, tmp_path: Path) -> None:
    path = write(
        tmp_path, line("good.py"), "{", line("nowhere.py"), line("good.py", type="robot"), line("good.py", nmae="x"),
        {"task": "no-such-task", "submission": "good.py"}, {"submission": "good.py"}, line("good.py", name="  "),
    )  # fmt: skip
    status, output, errors = call("grade", "--submission", path, "--output-dir", tmp_path / "out", *TINY)
    assert (status, output, (tmp_path / "out").exists()) == (2, "", False)
    mistakes = errors.splitlines()[1:]
    assert [text.split(":")[0] for text in mistakes] == [f"{path}, line {n}" for n in (2, 3, 4, 5, 6, 7, 8)]
    for text, words in zip(mistakes, ("JSON", "there is no", "type", "nmae", "no task", "task", "name"), strict=True):
        assert words in text


def test_names_that_would_share_a_folder_are_a_mistake(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path, line("good.py", name="A b"), line("good.py", name="a-b"))
    status, _, errors = call("grade", "--submission", path, "--output-dir", tmp_path / "out", *TINY)
    assert (status, "line 2: name: 'a-b' and 'A b' of line 1 would share a folder" in errors) == (2, True)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_list_is_a_mistake_that_shows_a_line(call: Call, tmp_path: Path, content: str) -> None:
    (tmp_path / "list.jsonl").write_text(content)
    status, _, errors = call("grade", "--submission", tmp_path / "list.jsonl", "--output-dir", tmp_path, *TINY)
    assert (status, 'a line is like {"task": ' in errors) == (2, True)


def test_a_list_that_is_not_there_is_a_mistake(call: Call, tmp_path: Path) -> None:
    status, _, errors = call("grade", "--submission", tmp_path / "none.jsonl", "--output-dir", tmp_path, *TINY)
    assert (status, "none.jsonl: No such file" in errors) == (2, True)


def test_an_output_folder_that_cannot_be_is_a_mistake_before_anything_runs(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path, line("good.py"))
    status, _, errors = call("grade", "--submission", path, "--output-dir", path / "below", *TINY)
    assert (status, "--output-dir" in errors) == (2, True)
