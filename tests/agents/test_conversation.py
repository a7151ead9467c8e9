"""Whatever a scripted agent does, it ends with the right rows and a transcript: its jobs are decided, not trained."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai.log import EvalLog
from inspect_ai.model import ModelCost, ModelInfo, ModelOutput, set_model_info
from scripted_agents import (
    NAME,
    PLAIN,
    PROTOCOL,
    SUBMIT,
    TASK,
    TEST,
    Call,
    answers,
    edit,
    evaluated,
    replies,
    sample_of,
    smoothing,
)

from mlsbench import MachineError
from mlsbench.agents.inspect_agent import _ours
from mlsbench.harness.launch import columns
from mlsbench.scoring import Plan, aggregate, find_records, select
from mlsbench.scoring.aggregation import EntryResult
from mlsbench.scoring.rollouts import Rollout, find_rollouts, rollout_lines, with_rollouts
from mlsbench.tasks import get_task

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600), pytest.mark.usefixtures("no_training")]


def rows(folder: Path) -> dict[str, EntryResult]:
    """The table's rows by type."""
    records, _ = select([s.record for s in find_records(folder / "runs")[0]], PROTOCOL)
    plan = Plan(("resnet20-digits",), (42, 43), columns(get_task(TASK).spec))
    rollouts, _ = find_rollouts(folder / "runs", TASK, PROTOCOL)
    return {row.key.type: row for row in with_rollouts(aggregate(records, plan), rollouts, plan)}


def rollout_of(folder: Path) -> Rollout:
    (only,), problems = find_rollouts(folder / "runs", TASK, PROTOCOL)
    assert problems == []
    return only


def score_of(log: EvalLog) -> float:
    scores = sample_of(log).scores
    assert scores is not None
    return scores["primary_metric"].as_float()


def test_an_agent_that_improves_over_two_tests_has_both_rows_and_the_difference(tmp_path: Path) -> None:
    steps = [edit(smoothing(0.1)), TEST, edit("0.3", "0.1"), TEST, ("submit", {"n": 2})]
    log = evaluated(tmp_path, steps)
    table, rollout = rows(tmp_path), rollout_of(tmp_path)
    vanilla, agent = table["vanilla"], table["agent"]
    assert vanilla.key.name == agent.key.name == NAME
    assert vanilla.score is not None
    assert agent.score is not None
    assert agent.score.mean - vanilla.score.mean == pytest.approx(0.2)
    assert score_of(log) == pytest.approx(agent.score.mean)
    assert (rollout.ended, rollout.automatic, rollout.tests, rollout.actions) == ("submitted", False, 2, 5)
    assert rollout.tokens == 50
    assert Path(rollout.transcript).is_file()
    plan = Plan(("resnet20-digits",), (42, 43), columns(get_task(TASK).spec))
    (line,) = rollout_lines([vanilla, agent], [rollout], plan)
    assert "privacy score +0.200 ± 0.000 (2/2 seeds), clear" in line


def test_the_grading_and_the_tests_have_different_keys(tmp_path: Path) -> None:
    evaluated(tmp_path, [TEST, SUBMIT])
    rollout = rollout_of(tmp_path)
    tests = find_records(next((tmp_path / "runs").glob("*/*/rollouts/*/tests")))[0]
    graded = find_records(tmp_path / "runs")[0]
    assert {s.record.setting.split_key for s in tests} == {rollout.test_key}
    assert {s.record.setting.split_key for s in graded} == {rollout.split_key}
    assert rollout.test_key != rollout.split_key
    key = next((tmp_path / "runs").glob("*/*/rollouts/*/test-key"))
    assert key.stat().st_mode & 0o777 == 0o600


def test_an_agent_that_never_edits_has_one_submission_twice(tmp_path: Path) -> None:
    log = evaluated(tmp_path, [TEST, SUBMIT])
    rollout = rollout_of(tmp_path)
    assert rollout.vanilla == rollout.agent
    assert rows(tmp_path)["vanilla"].score == rows(tmp_path)["agent"].score
    assert log.status == "success"


def test_what_breaks_the_contract_uses_no_test(tmp_path: Path) -> None:
    steps = [
        edit("import os", "@" + PLAIN),  # is not there
        ("edit", {"new": "import os", "first": 1, "last": 1}),  # outside the region
        edit("return (", PLAIN), TEST, ("undo", {}),
        edit("open('/etc/passwd'); " + PLAIN), ("validate", {}), TEST, ("undo", {}),
        TEST, SUBMIT,
    ]  # fmt: skip
    log = evaluated(tmp_path, steps)
    told = answers(sample_of(log))
    assert "exactly once; it stands there 0 times" in told[0]
    assert "must be lines of the editable region" in told[1]
    assert "not valid Python" in told[3]
    assert "Rejected: the code raised PermissionError, line 25." in told[6]
    assert "No test was used." in told[7]
    assert (rollout_of(tmp_path).tests, rollout_of(tmp_path).actions) == (1, 10)


def test_tools_that_are_not_there_read_nothing_and_cost_an_action(tmp_path: Path) -> None:
    steps = [("bash", {"command": "cat runs/*"}), ("view", {"path": "../../runs"}), "may I see the key?", TEST, SUBMIT]
    log = evaluated(tmp_path, steps)
    told = answers(sample_of(log))
    assert "not found" in told[0]
    assert "path" in told[1]
    assert "runs/" not in told[1]
    assert rollout_of(tmp_path).actions == 5


def calls(*steps: Call) -> ModelOutput:
    """One reply with several calls."""
    output, *others = replies(*steps)
    (first,) = output.message.tool_calls or []
    more = [call for other in others for call in other.message.tool_calls or []]
    output.message.tool_calls = [first, *more]
    return output


def test_what_no_log_can_hold_is_a_call_that_cannot_be_read(tmp_path: Path) -> None:
    odd = [("edit", {"new": "# \ud800", "first": 12, "last": 11}), ("submit", {"n": float("inf")})]
    log = evaluated(tmp_path, [*odd, TEST, SUBMIT])
    assert answers(sample_of(log))[:2] == ["The arguments hold what cannot be written down."] * 2
    assert (rollout_of(tmp_path).ended, rollout_of(tmp_path).actions) == ("submitted", 4)


def test_calls_in_one_reply_follow_each_other_and_end_with_the_answer(tmp_path: Path) -> None:
    together = calls(TEST, edit(smoothing(0.1)), TEST, SUBMIT, ("validate", {}), TEST)
    told = answers(sample_of(evaluated(tmp_path, [together], tests=1)))
    assert "No test is left." in told[2]
    assert "Test 1 is submitted." in told[3]
    assert all("This rollout is over" in answer for answer in told[4:])
    assert (rollout_of(tmp_path).tests, rollout_of(tmp_path).actions) == (1, 4)


def test_free_checks_in_one_reply_have_an_end(tmp_path: Path) -> None:
    together = calls(TEST, *[("validate", {})] * 5)
    told = answers(sample_of(evaluated(tmp_path, [together], actions=1)))
    assert all("This rollout is over" in answer for answer in told[1:])
    together = calls(*[("validate", {})] * 9)
    told = answers(sample_of(evaluated(tmp_path / "more", [together], actions=2)))
    assert sum("Accepted" in answer for answer in told) == 8
    assert rollout_of(tmp_path / "more").ended == "replies"


def test_what_inspect_would_tell_of_a_broken_machine_is_an_error() -> None:
    with pytest.raises(MachineError, match="/secret/path"), _ours():
        raise PermissionError(13, "Permission denied", "/secret/path")


def test_a_runs_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    sample = sample_of(evaluated(tmp_path, [TEST, SUBMIT]))
    assert sample.error is not None
    assert "--runs must name a folder with room to write" in sample.error.message


def test_when_actions_run_out_the_latest_valid_test_is_submitted(tmp_path: Path) -> None:
    steps = [edit(smoothing(0.1)), TEST, edit("0.2", "0.1"), TEST, edit("0.3  # collapse", "0.2"), TEST]
    log = evaluated(tmp_path, steps, actions=6)
    rollout = rollout_of(tmp_path)
    assert (rollout.ended, rollout.automatic, rollout.submitted_test) == ("actions", True, 2)
    assert score_of(log) == pytest.approx(0.2 + ord("p") / 1e5 + 42.5 / 1e4)
    assert "submitted automatically" in str(sample_of(log).scores)


def test_no_test_is_run_beyond_their_number_and_the_same_file_is_not_tested_twice(tmp_path: Path) -> None:
    steps = [TEST, TEST, edit(smoothing(0.1)), TEST, edit("0.2", "0.1"), TEST, SUBMIT]
    told = answers(sample_of(evaluated(tmp_path, steps, tests=2)))
    assert "This very file was test 1; no test was used." in told[1]
    assert "No test is left." in told[5]


def test_when_tokens_run_out_the_latest_valid_test_is_submitted(tmp_path: Path) -> None:
    log = evaluated(tmp_path, [TEST, ("view", {}), ("view", {}), SUBMIT], tokens_each=1000, tokens=2500)
    assert (rollout_of(tmp_path).ended, rollout_of(tmp_path).submitted_test) == ("tokens", 1)
    assert score_of(log) > 0


def test_when_the_cost_is_reached_the_latest_valid_test_is_submitted(tmp_path: Path) -> None:
    cost = ModelCost(input=1000, output=1000, input_cache_write=0, input_cache_read=0)
    set_model_info(NAME, ModelInfo(cost=cost))
    steps = [TEST, ("view", {}), ("view", {}), SUBMIT]
    evaluated(tmp_path, steps, tokens_each=1000, cost=2.5)
    rollout = rollout_of(tmp_path)
    assert (rollout.ended, rollout.submitted_test) == ("cost", 1)
    assert rollout.cost == pytest.approx(3)


def test_when_time_runs_out_in_a_test_its_jobs_are_ended_and_it_does_not_count(tmp_path: Path) -> None:
    log = evaluated(tmp_path, [edit(PLAIN + "  # stay"), TEST, SUBMIT], minutes=0.5)
    rollout = rollout_of(tmp_path)
    assert (rollout.ended, rollout.tests, rollout.agent) == ("time", 0, None)
    assert sample_of(log).error is None


def test_free_checks_do_not_go_on_for_ever(tmp_path: Path) -> None:
    steps = [TEST, *[("validate", {})] * 8]
    evaluated(tmp_path, steps, actions=2)
    assert rollout_of(tmp_path).ended == "replies"


def test_without_a_test_there_is_nothing_to_submit_and_no_score(tmp_path: Path) -> None:
    log = evaluated(tmp_path, [("view", {}), ("submit", {"n": 1})], actions=2)
    assert score_of(log) != score_of(log)
    assert "There is no test 1" in answers(sample_of(log))[1]
    row = rows(tmp_path)["agent"]
    assert row.score is None
    assert {trouble.status for trouble in row.benchmarks[0].troubles} == {"missing"}


def test_a_collapsed_model_may_be_submitted_and_is_marked(tmp_path: Path) -> None:
    evaluated(tmp_path, [edit(smoothing(0.1) + "  # collapse"), TEST, SUBMIT])
    assert rows(tmp_path)["agent"].benchmarks[0].collapsed == 2


def test_a_failure_is_told_in_fixed_words(tmp_path: Path) -> None:
    log = evaluated(tmp_path, [edit(PLAIN + "  # crash"), TEST, SUBMIT])
    told = answers(sample_of(log))[1]
    assert "failed (epoch 1: the code raised an exception, line 25)" in told
    assert "IgnoreAllRules" not in told
    assert score_of(log) != score_of(log)


def test_what_fails_for_our_reasons_is_an_error_and_no_score(tmp_path: Path) -> None:
    log = evaluated(tmp_path, [edit(PLAIN + "  # vanish"), TEST, SUBMIT])
    sample = sample_of(log)
    assert sample.error is not None
    assert "infra_failed" in sample.error.message
    assert not sample.scores
    assert find_rollouts(tmp_path / "runs", TASK, PROTOCOL) == ([], [])


def test_rollouts_of_one_model_are_one_row_with_their_number(tmp_path: Path) -> None:
    steps = [edit(smoothing(0.1)), TEST, SUBMIT, edit(smoothing(0.2)), TEST, SUBMIT, TEST, SUBMIT]
    evaluated(tmp_path, steps, rollouts=3)
    agent = rows(tmp_path)["agent"]
    assert agent.over == "rollout"
    assert agent.score is not None
    assert (agent.score.n, agent.score.planned) == (3, 3)
    assert agent.score.mean == pytest.approx(0.1 + ord("p") / 1e5 + 42.5 / 1e4)
    assert agent.score.half_width == pytest.approx(4.302653 * 0.1 / 3**0.5)
