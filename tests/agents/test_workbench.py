"""Of the file nothing but the editable region can change, and every budget of the workbench holds."""

from __future__ import annotations

import pytest

from mlsbench.agents.feedback import Report
from mlsbench.agents.workbench import Budget, RefusedError, State, Workbench
from mlsbench.tasks import MAX_BYTES, get_task

TASK = get_task("security-membership-inference-defense")
PLAIN = "return F.cross_entropy(logits, labels)"
SCORED, FAILED, COLLAPSED = Report("fine", True, 0.9), Report("bad", False, None), Report("low", False, 0.1)


@pytest.fixture
def bench() -> Workbench:
    return Workbench(TASK, Budget(actions=5, tests=3))


def tried(bench: Workbench, report: Report, text: str) -> None:
    bench.edit(text, old=bench.state.region[13].strip())
    submission = bench.start_test()
    assert not isinstance(submission, str)
    bench.finish_test(submission, report)


def test_the_file_begins_as_the_template(bench: Workbench) -> None:
    assert bench.text == TASK.template()


def test_the_numbers_shown_are_those_of_the_file(bench: Workbench) -> None:
    lines = bench.view().split("\n")
    assert lines[0].endswith("editable: lines 12 to 27")
    assert lines[12] == "  12  class MembershipDefense:"
    assert len(lines) == 1 + len(TASK.template().rstrip("\n").split("\n"))


def test_a_text_that_stands_once_is_replaced(bench: Workbench) -> None:
    answer = bench.edit("return logits.sum()", old=PLAIN)
    assert "  25          return logits.sum()" in answer
    assert bench.text == TASK.template().replace(PLAIN, "return logits.sum()")


@pytest.mark.parametrize(("old", "times"), [("logits", 5), ("nowhere", 0), ("import torch", 0), ("", 0)])
def test_a_text_that_does_not_stand_once_in_the_region_changes_nothing(bench: Workbench, old: str, times: int) -> None:
    with pytest.raises(RefusedError, match=rf"(?s)it stands there {times} times.*editable: lines 12 to 27"):
        bench.edit("x", old=old)
    assert bench.text == TASK.template()


def test_lines_are_replaced_inserted_and_removed(bench: Workbench) -> None:
    bench.edit("# one\n# two", first=12, last=13)
    assert bench.state.region[:3] == ["# one", "# two", ""]
    bench.edit("# before", first=12, last=11)
    assert bench.state.region[:3] == ["# before", "# one", "# two"]
    bench.edit("", first=12, last=13)
    assert bench.state.region[:2] == ["# two", ""]


def test_the_region_may_become_empty_and_full_again(bench: Workbench) -> None:
    assert "nothing yet: insert at line 12" in bench.edit("", first=12, last=27)
    bench.edit("class MembershipDefense: pass", first=12, last=11)
    assert bench.state.region == ["class MembershipDefense: pass"]


@pytest.mark.parametrize(("first", "last"), [(1, 2), (11, 12), (20, 28), (28, 28), (20, 18), (30, 29), (0, 0)])
def test_lines_outside_the_region_cannot_change(bench: Workbench, first: int, last: int) -> None:
    with pytest.raises(RefusedError, match="lines of the editable region, 12 to 27"):
        bench.edit("import os", first=first, last=last)
    assert bench.text == TASK.template()


@pytest.mark.parametrize("text", ["# === END EDITABLE ===", "a\r\n# === EDITABLE ===\r\nb", "\udc80", "x" * MAX_BYTES])
def test_what_would_break_the_file_is_refused(bench: Workbench, text: str) -> None:
    with pytest.raises(RefusedError, match="Not done"):
        bench.edit(text, first=12, last=12)
    assert bench.text == TASK.template()


@pytest.mark.parametrize(
    "place", [{}, {"old": PLAIN, "first": 12, "last": 12}, {"first": 12}, {"last": 12}, {"old": PLAIN, "last": 12}]
)
def test_an_edit_needs_one_place(bench: Workbench, place: dict[str, int]) -> None:
    with pytest.raises(RefusedError, match="Not done"):
        bench.edit("x", **place)  # type: ignore[arg-type]


def test_undo_goes_back_edit_by_edit(bench: Workbench) -> None:
    bench.edit("# a", first=12, last=12)
    bench.edit("# b", first=12, last=12)
    bench.undo()
    assert bench.state.region[0] == "# a"
    bench.undo()
    assert bench.text == TASK.template()
    with pytest.raises(RefusedError, match="no edit to undo"):
        bench.undo()


def test_only_a_test_that_was_run_can_be_submitted(bench: Workbench) -> None:
    with pytest.raises(RefusedError, match="run one first"):
        bench.submit(1)
    tried(bench, SCORED, "return logits.sum()")
    with pytest.raises(RefusedError, match="from 1 to 1"):
        bench.submit(2)
    bench.submit(1)
    assert bench.over


def test_what_is_submitted_is_what_was_tested(bench: Workbench) -> None:
    tried(bench, SCORED, "return logits.sum()")
    tested = bench.submission()
    bench.edit("return logits.mean()", old="return logits.sum()")
    bench.submit(1)
    answer = bench.answer()
    assert answer is not None
    assert answer.submission == tested


def test_without_an_answer_the_latest_valid_test_counts(bench: Workbench) -> None:
    tried(bench, SCORED, "return logits.sum()")
    tried(bench, SCORED, "return logits.mean()")
    tried(bench, FAILED, "return logits.std()")
    answer, vanilla = bench.answer(), bench.vanilla()
    assert answer is not None
    assert vanilla is not None
    assert answer.number == 2
    assert "logits.sum()" in vanilla.text


def test_without_a_valid_test_there_is_no_answer_and_yet_a_first_try(bench: Workbench) -> None:
    tried(bench, FAILED, "return logits.sum()")
    assert bench.answer() is None
    assert bench.vanilla() is not None


def test_actions_run_out(bench: Workbench) -> None:
    for _ in range(5):
        assert not bench.over
        bench.act()
    assert bench.over
    with pytest.raises(RefusedError, match="over"):
        bench.act()


def test_tests_run_out(bench: Workbench) -> None:
    for text in ("return logits.sum()", "return logits.mean()", "return logits.std()"):
        tried(bench, SCORED, text)
    bench.edit("# more", first=12, last=11)
    with pytest.raises(RefusedError, match="No test is left"):
        bench.start_test()


def test_the_same_file_again_uses_no_test(bench: Workbench) -> None:
    tried(bench, SCORED, "return logits.sum()")
    assert "no test was used" in str(bench.start_test())
    assert len(bench.state.trials) == 1


def test_a_state_goes_on_after_it_was_written_down(bench: Workbench) -> None:
    tried(bench, SCORED, "return logits.sum()")
    again = Workbench(TASK, bench.budget, State.model_validate_json(bench.state.model_dump_json()))
    assert again.text == bench.text
    assert again.answer() == bench.answer()


def test_uses_of_tools_have_an_end_although_checks_are_free(bench: Workbench) -> None:
    for _ in range(bench.budget.replies):
        bench.enter(free=True)
    assert bench.over
    with pytest.raises(RefusedError, match="over"):
        bench.enter(free=True)
    assert bench.state.actions == 0


def test_nothing_can_be_used_after_the_answer(bench: Workbench) -> None:
    tried(bench, SCORED, "return logits.sum()")
    bench.submit(1)
    with pytest.raises(RefusedError, match="over"):
        bench.enter(free=True)


def test_without_a_valid_test_the_latest_with_a_result_counts(bench: Workbench) -> None:
    tried(bench, COLLAPSED, "return logits.sum()")
    tried(bench, COLLAPSED, "return logits.mean()")
    tried(bench, FAILED, "return logits.std()")
    answer = bench.answer()
    assert answer is not None
    assert answer.number == 2


def test_a_collapsed_test_does_not_stand_before_a_valid_one(bench: Workbench) -> None:
    tried(bench, SCORED, "return logits.sum()")
    tried(bench, COLLAPSED, "return logits.mean()")
    answer = bench.answer()
    assert answer is not None
    assert answer.number == 1
