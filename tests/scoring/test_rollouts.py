"""Rollouts of one model make one row, over rollouts, from which none can be dropped."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlsbench import UserError
from mlsbench.scoring import Column, Plan, Record, Setting, aggregate, find_records, render, write_record
from mlsbench.scoring.rollouts import (
    ROLLOUT_FILE,
    Rollout,
    differences,
    find_rollouts,
    in_table,
    read_rollout,
    rollout_folder,
    rollout_lines,
    with_rollouts,
    write_rollout,
)

COLUMNS = (Column("test_acc", "test acc", "max"), Column("privacy_score", "privacy score", "max", True))
PLAN = Plan(("one", "two"), (42, 43), COLUMNS)
GROUP: dict[str, Any] = {
    "task": "t", "task_version": 1, "frozen": "f" * 64, "protocol": "p", "split_key": "a" * 64, "precision": "fp32",
}  # fmt: skip
T3 = 4.302653  # t₀.₉₇₅ with two degrees of freedom


def digest(number: int) -> str:
    return f"{number:064x}"


def rollout(number: int, vanilla: int | None, agent: int | None, **changes: Any) -> Rollout:
    values = {
        **GROUP, "id": f"r{number}", "name": "lab/model", "test_key": "b" * 64, "benchmarks": PLAN.benchmarks,
        "seeds": PLAN.seeds, "vanilla": None if vanilla is None else digest(vanilla),
        "agent": None if agent is None else digest(agent), "ended": "submitted", "tests": 2, "actions": 9,
        "seconds": 60, "tokens": 1000, "cost": 0.25, "created": datetime(2026, 1, number, tzinfo=UTC),
    }  # fmt: skip
    return Rollout.model_validate(values | changes)


def records(kind: str, number: int, score: float, **odd: Any) -> list[Record]:
    """Scored records of both benchmarks and seeds; seed 43 lies 0.02 above 42. `odd` are changes to the last."""
    made = []
    for benchmark in PLAN.benchmarks:
        for seed in PLAN.seeds:
            setting = Setting(
                benchmark=benchmark,
                model="resnet20",
                seed=seed,
                sandbox="process",
                device_kind="cpu",
                torch="2",
                data="d" * 64,
                **GROUP,
            )
            value = score + (seed - 42) * 0.02
            made.append(
                Record.model_validate(
                    {
                        "job_key": setting.job_key(digest(number)), "setting": setting, "status": "scored",
                        "entry": {"name": "lab/model", "type": kind, "submission": digest(number)},
                        "metrics": {"test_acc": value, "privacy_score": value},
                        "created": datetime(2026, 1, 1, tzinfo=UTC),
                    }
                )
            )  # fmt: skip
    made[-1] = Record.model_validate(made[-1].model_dump() | odd)
    return made


def test_a_row_is_the_mean_over_rollouts_with_their_interval() -> None:
    made = [*records("agent", 1, 0.5), *records("agent", 2, 0.6), *records("agent", 3, 0.7)]
    rows = with_rollouts(aggregate(made, PLAN), [rollout(n, None, n) for n in (1, 2, 3)], PLAN)
    (row,) = [row for row in rows if row.key.type == "agent"]
    assert row.score is not None
    assert row.score.mean == pytest.approx(0.61)
    assert row.score.half_width == pytest.approx(T3 * 0.1 / 3**0.5)
    assert (row.score.n, row.score.planned, row.over) == (3, 3, "rollout")


def test_rollouts_of_the_same_file_count_each() -> None:
    made = [*records("agent", 1, 0.5), *records("agent", 2, 0.8)]
    mine = [rollout(1, None, 1), rollout(2, None, 1), rollout(3, None, 2)]
    (row, _) = with_rollouts(aggregate(made, PLAN), mine, PLAN)
    assert row.score is not None
    assert row.score.mean == pytest.approx(0.01 + (0.5 + 0.5 + 0.8) / 3)


def test_a_rollout_without_an_answer_leaves_no_mean() -> None:
    mine = [rollout(1, None, 1), rollout(2, None, None)]
    rows = with_rollouts(aggregate(records("agent", 1, 0.9), PLAN), mine, PLAN)
    row = next(row for row in rows if row.key.type == "agent")
    assert row.score is None
    assert not row.complete
    assert [(trouble.seed, trouble.status) for trouble in row.benchmarks[0].troubles] == [(2, "missing")]


def test_a_failed_seed_of_a_rollout_leaves_no_mean_and_says_which() -> None:
    bad = {"status": "failed", "reason": "failed in epoch 1: raised ValueError", "metrics": {}}
    made = [*records("agent", 1, 0.9), *records("agent", 2, 0.9, **bad)]
    rows = with_rollouts(aggregate(made, PLAN), [rollout(1, None, 1), rollout(2, None, 2)], PLAN)
    row = next(row for row in rows if row.key.type == "agent")
    assert row.score is None
    (trouble,) = row.benchmarks[1].troubles
    assert (trouble.seed, trouble.status) == (2, "failed")
    assert trouble.reason.startswith("seed 43: failed in epoch 1")


def test_a_collapsed_rollout_stays_in_the_mean_and_marks_the_row() -> None:
    low = {"status": "collapsed", "reason": "collapsed: at chance"}
    made = [*records("agent", 1, 0.9), *records("agent", 2, 0.1, **low)]
    rows = with_rollouts(aggregate(made, PLAN), [rollout(1, None, 1), rollout(2, None, 2)], PLAN)
    row = next(row for row in rows if row.key.type == "agent")
    assert row.score is not None
    assert row.place_class == 1


def test_one_rollout_is_an_ordinary_row_over_seeds() -> None:
    results = aggregate(records("agent", 1, 0.5), PLAN)
    rows = with_rollouts(results, [rollout(1, None, 1)], PLAN)
    agent = next(row for row in rows if row.key.type == "agent")
    assert agent == results[0]


def test_entries_of_no_rollout_stay_and_all_are_ranked_again() -> None:
    other = [
        record.model_copy(update={"entry": record.entry.model_copy(update={"name": "erm", "type": "baseline"})})
        for record in records("agent", 9, 0.6)
    ]
    made = [*other, *records("agent", 1, 0.9), *records("agent", 2, 0.2)]
    rows = with_rollouts(aggregate(made, PLAN), [rollout(1, None, 1), rollout(2, None, 2)], PLAN)
    assert [(row.key.name, row.rank) for row in rows if row.score] == [("erm", 1), ("lab/model", 2)]


def test_the_difference_of_one_rollout_is_paired_over_seeds() -> None:
    results = aggregate([*records("vanilla", 1, 0.5), *records("agent", 2, 0.6)], PLAN)
    found = differences(results, [rollout(1, 1, 2)], PLAN)
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(0.1)
    assert found.difference.half_width == pytest.approx(0, abs=1e-12)
    assert (found.n, found.planned) == (2, 2)


def test_the_difference_of_several_rollouts_is_paired_over_rollouts() -> None:
    made = [
        *records("vanilla", 1, 0.5),
        *records("agent", 2, 0.6),
        *records("vanilla", 3, 0.2),
        *records("agent", 4, 0.5),
    ]
    found = differences(aggregate(made, PLAN), [rollout(1, 1, 2), rollout(2, 3, 4)], PLAN)
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(0.2)
    assert found.difference.n == 2


def test_a_line_says_the_difference_and_what_it_took() -> None:
    results = aggregate([*records("vanilla", 1, 0.5), *records("agent", 2, 0.6)], PLAN)
    (line,) = rollout_lines(results, [rollout(1, 1, 2, ended="tokens")], PLAN)
    assert line == (
        "lab/model, vanilla → agent: privacy score +0.100 ± 0.000 (2/2 seeds), clear, detectable 0.000; 1 rollout, "
        "2 tests, 9 actions, 1,000 tokens, $0.25, 1 submitted automatically (out of tokens)"
    )


def test_without_both_scores_there_is_no_difference() -> None:
    (line,) = rollout_lines([], [rollout(1, None, None)], PLAN)
    assert "not compared, 0 of 2 seeds have both scores" in line
    assert "1 submitted nothing" in line


@pytest.mark.parametrize("format_", ["md", "latex", "json"])
def test_a_table_shows_the_number_of_rollouts_and_the_line(format_: Any) -> None:
    made = [*records("agent", 1, 0.5), *records("agent", 2, 0.6)]
    results, mine = aggregate(made, PLAN), [rollout(1, None, 1), rollout(2, None, 2)]
    text = str(render(with_rollouts(results, mine, PLAN), PLAN, format_, notes=rollout_lines(results, mine, PLAN)))
    assert "2 rollouts, 4 tests" in text
    if format_ == "json":
        row = next(row for row in json.loads(text)["rows"] if row["type"] == "agent")
        assert (row["n"], row["planned"], row["over"]) == (2, 2, "rollout")
    else:
        assert "(2/2 rollouts)" in text


def test_a_rollout_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = rollout_folder(tmp_path, "t", "p", "r1")
    folder.mkdir(parents=True)
    write_rollout(folder, rollout(1, 1, 2))
    assert read_rollout(folder) == rollout(1, 1, 2)
    assert find_rollouts(tmp_path, "t", "p") == ([rollout(1, 1, 2)], [])


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 2}', "[]"])
def test_a_damaged_rollout_is_said(tmp_path: Path, text: str) -> None:
    folder = rollout_folder(tmp_path, "t", "p", "r1")
    folder.mkdir(parents=True)
    (folder / ROLLOUT_FILE).write_text(text)
    with pytest.raises(UserError, match="no readable rollout"):
        read_rollout(folder)
    found, (problem,) = find_rollouts(tmp_path, "t", "p")
    assert found == []
    assert "rollout.json" in problem


def test_a_pipe_in_a_rollouts_place_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ROLLOUT_FILE)
    with pytest.raises(UserError, match="no regular file"):
        read_rollout(tmp_path)


def test_rollouts_of_another_key_are_left_out_and_said() -> None:
    mine, lines = in_table([rollout(1, 1, 1), rollout(2, 1, 1, split_key="c" * 64)], records("agent", 1, 0.5))
    assert [one.id for one in mine] == ["r1"]
    assert lines == ["1 rollout left out: of another split key, code or precision"]


def test_records_of_tests_are_no_records_of_a_table(tmp_path: Path) -> None:
    (record, *_) = records("agent", 1, 0.5)
    write_record(tmp_path / "t" / "p" / "rollouts" / "r1" / "tests" / "job", record)
    graded = write_record(tmp_path / "t" / "p" / "entry" / "job", record)
    assert [one.path for one in find_records(tmp_path)[0]] == [graded]
    assert len(find_records(tmp_path / "t" / "p" / "rollouts" / "r1" / "tests")[0]) == 1


def test_a_name_cannot_break_the_line() -> None:
    lines: Sequence[str] = rollout_lines([], [rollout(1, None, None, name="a\x1b[31m\nb")], PLAN)
    assert "\n" not in lines[0]
    assert "\x1b" not in lines[0]


def test_a_copy_of_a_rollout_does_not_count_twice(tmp_path: Path) -> None:
    for name in ("r1", "r2"):
        folder = rollout_folder(tmp_path, "t", "p", name)
        folder.mkdir(parents=True)
        write_rollout(folder, rollout(1, 1, 2))
    rollouts_found, (problem,) = find_rollouts(tmp_path, "t", "p")
    assert rollouts_found == [rollout(1, 1, 2)]
    assert "that of another folder" in problem
