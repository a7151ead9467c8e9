"""docs/threat-model.md is what the exploits and tests/threats.toml say, and everything that it names is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from threat_model import BACKENDS, COMMAND, DOCUMENT, ROOT, backends_of, document, exploits, threats, verdict

GIVEN, FILES = threats(), exploits()
WALLS = {wall["name"]: wall for wall in GIVEN["wall"]}
ELSEWHERE: list[dict[str, Any]] = [other for row in GIVEN["row"] for other in row.get("elsewhere", ())]
TESTS = sorted({t for w in WALLS.values() for t in w["shown"]} | {t for other in ELSEWHERE for t in other["tests"]})


@cache
def functions(path: Path) -> set[str]:
    """The names of the functions at the top level of a file."""
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == document(), f"write it again: {COMMAND}"


def test_every_exploit_stands_in_exactly_one_row() -> None:
    listed = [name for row in GIVEN["row"] for name in row.get("exploits", ())]
    assert sorted(listed) == sorted(FILES)


def test_every_row_has_a_technique() -> None:
    assert all(row.get("exploits") or row.get("elsewhere") for row in GIVEN["row"])


@pytest.mark.parametrize("name", FILES)
def test_an_exploit_says_in_one_sentence_what_it_does(name: str) -> None:
    does = FILES[name].does
    assert does.endswith(".")
    assert "\n" not in does
    assert len(does) <= 130


@pytest.mark.parametrize("name", FILES)
def test_an_exploit_is_stopped_by_walls_one_of_which_stands_in_every_backend(name: str) -> None:
    stopped_by = FILES[name].stopped_by
    assert set(stopped_by) <= set(WALLS)
    if name not in ("honest", "pin_confidence", "invert_confidence"):
        assert backends_of(WALLS[stopped_by[0]]) == BACKENDS


def test_every_wall_stops_something() -> None:
    used = {wall for one in FILES.values() for wall in one.stopped_by}
    assert used | {wall for other in ELSEWHERE for wall in other["walls"]} == set(WALLS)


@pytest.mark.parametrize("test", TESTS)
def test_a_test_that_the_document_names_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert name in functions(ROOT / path)


@pytest.mark.parametrize("name", [name for name, one in FILES.items() if one.ends.startswith("job ")])
def test_an_exploit_that_needs_a_whole_job_is_named_by_a_test_of_jobs(name: str) -> None:
    tests = (ROOT / "tests" / "harness" / file for file in ("test_job_exploits.py", "test_probe.py"))
    assert any(f'"{name}"' in text or f'"{name}.py"' in text for text in (test.read_text() for test in tests))


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ("answers", "no effect"),
        ("load: too slow", "`rejected`: too slow"),
        ("call 0: raised RuntimeError", "`rejected`: raised RuntimeError"),
        ("call 3: raised ValueError: \x1b]0;", "`failed`: raised ValueError: \N{REPLACEMENT CHARACTER}]0;"),
        ("call: protocol", "`failed`: protocol"),
        ("call 3: the ", "`failed`: the …"),
        ("job scored", "`scored`"),
        ("job rejected: rejected: raised TypeError", "`rejected`: raised TypeError"),
        ("job failed: failed in epoch 2: out of memory", "`failed`: in epoch 2: out of memory"),
    ],
)
def test_an_ending_is_told_in_the_words_of_a_record(ends: str, said: str) -> None:
    assert verdict(ends) == said
