"""A command killed at any moment, and run again, ends with the right table, and nothing is left of either run."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"
TIMES, TREES = 5, 1


@pytest.fixture(scope="module")
def kills(image: str) -> list[dict[str, Any]]:
    """What the benchmark saw; its moments differ from day to day, and a failure tells the seed that repeats them."""
    seed = random.randrange(10**6)
    done = subprocess.run(
        [sys.executable, KILLS, "--times", str(TIMES), "--trees", str(TREES), "--seed", str(seed), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    print(f"python benchmarks/kills.py --times {TIMES} --trees {TREES} --seed {seed}\n{done.stdout}")  # noqa: T201
    return list(json.loads(done.stdout)["kills"])


@pytest.mark.timeout(1800)
def test_the_next_run_of_a_killed_command_ends_as_if_nothing_had_happened(kills: list[dict[str, Any]]) -> None:
    assert [kill for kill in kills if kill["outcome"] != "right"] == []


def test_commands_alone_and_whole_trees_were_killed(kills: list[dict[str, Any]]) -> None:
    assert [kill["killed"] for kill in kills] == ["command"] * TIMES + ["all processes"] * TREES
