"""A plan of forty jobs, killed ten times at random moments, ends with the table of an undisturbed one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "resume.py"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def killed() -> dict[str, Any]:
    """Jobs without training: what is killed around them is the same."""
    arguments = [sys.executable, SCRIPT, "--short", "--kills", "10", "--jobs", "40", "--json"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_ten_kills_change_no_table_no_record_and_leave_nothing(killed: dict[str, Any]) -> None:
    assert [kill["wrong"] for kill in killed["kills"]] == [""] * 10


def test_commands_and_jobs_were_killed_and_whole_trees(killed: dict[str, Any]) -> None:
    assert {"command", "all processes"} <= {kill["target"] for kill in killed["kills"]}
