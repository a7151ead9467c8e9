"""What an agent works at: the editable region of the template, its tests, and how much of both it has left."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel

from mlsbench.agents.feedback import Report
from mlsbench.tasks import MAX_BYTES, Submission, SubmissionRejected, TaskFolder, parse_submission

OVER = "This rollout is over: nothing more can be done."


class Budget(BaseModel):
    """What a rollout may use; None: without end."""

    actions: int = 40
    tests: int = 3
    minutes: float | None = None
    tokens: int | None = None
    cost: float | None = None

    @property
    def replies(self) -> int:
        """How often the model may reply, and how many uses of tools it has with its checks: those are free, but not
        without end."""
        return 4 * self.actions


class Trial(BaseModel):
    """A test that was run to its end."""

    text: str
    report: str
    valid: bool
    score: float | None


class State(BaseModel):
    """All that changes during a rollout."""

    region: list[str]
    earlier: list[list[str]] = []
    trials: list[Trial] = []
    actions: int = 0
    calls: int = 0
    submitted: int | None = None


class Choice(NamedTuple):
    """A test and its submission."""

    number: int
    submission: Submission


class RefusedError(Exception):
    """The answer to what cannot be done, for the agent to read."""


class Workbench:
    """The editable region and the tools that change it; nothing else of the file can change.

    `state` goes on where a rollout was. Methods answer with what the agent is told, or raise RefusedError.
    """

    def __init__(self, task: TaskFolder, budget: Budget, state: State | None = None) -> None:
        self.task, self.budget = task, budget
        contract = task.spec.contract
        lines = task.template().rstrip("\n").split("\n")
        begin, end = lines.index(contract.begin), lines.index(contract.end)
        self._head, self._tail = lines[: begin + 1], lines[end:]
        self.state = state or State(region=lines[begin + 1 : end])

    @property
    def text(self) -> str:
        """The whole file."""
        return "\n".join([*self._head, *self.state.region, *self._tail, ""])

    @property
    def over(self) -> bool:
        """Something was submitted, or no action or use of a tool is left."""
        return self.state.submitted is not None or self.state.actions >= self.budget.actions or self.checked_out

    @property
    def checked_out(self) -> bool:
        """A reply may hold many calls: all uses of tools together reached their number."""
        return self.state.calls >= self.budget.replies

    def act(self) -> None:
        """Use one action."""
        if self.over:
            raise RefusedError(OVER)
        self.state.actions += 1

    def enter(self, free: bool = False) -> None:
        """Count one use of a tool, which is an action unless it is `free`."""
        over = self.over
        self.state.calls += 1
        if over:
            raise RefusedError(OVER)
        if not free:
            self.state.actions += 1

    def waste(self) -> None:
        """Count what was no use of a tool: a call of one that is not there, or with what it does not take."""
        self.state.actions = min(self.state.actions + 1, self.budget.actions)

    def left(self) -> str:
        """What is left, as a line."""
        tests = self.budget.tests - len(self.state.trials)
        return f"Left: {self.budget.actions - self.state.actions} actions, {tests} tests."

    def view(self) -> str:
        """The whole file with line numbers."""
        first, last = self._range()
        lines = [*self._head, *self.state.region, *self._tail]
        shown = "\n".join(f"{number:4d}  {line}" for number, line in enumerate(lines, 1))
        where = f"lines {first} to {last}" if last >= first else f"nothing yet: insert at line {first}"
        return f"{self.task.spec.contract.file}; editable: {where}\n{shown}"

    def edit(self, new: str, old: str | None = None, first: int | None = None, last: int | None = None) -> str:
        """Put `new` in the place of `old`, which must stand in the region exactly once, or of lines `first` to `last`.

        With `last` = `first` - 1 nothing is replaced, and `new` is inserted before line `first`.
        """
        new = new.replace("\r\n", "\n").replace("\r", "\n")
        if (old is None) == (first is None) or (first is None) != (last is None):
            raise self._refused("Give either `old`, or `first` and `last`.")
        region = self._by_text(old, new) if old is not None else self._by_lines(first, last, new)
        contract = self.task.spec.contract
        if contract.begin in region or contract.end in region:
            raise self._refused("The marker lines cannot be repeated within the region.")
        try:
            size = len("\n".join([*self._head, *region, *self._tail, ""]).encode())
        except UnicodeEncodeError:
            raise self._refused("The new text holds characters that no UTF-8 file can hold.") from None
        if size > MAX_BYTES:
            raise self._refused(f"The file would be larger than {MAX_BYTES} bytes.")
        self.state.earlier.append(self.state.region)
        self.state.region = region
        return f"Done. {self.view()}"

    def undo(self) -> str:
        """Take the latest edit back."""
        if not self.state.earlier:
            raise self._refused("There is no edit to undo.")
        self.state.region = self.state.earlier.pop()
        return f"The latest edit is undone. {self.view()}"

    def submission(self) -> Submission:
        """The file as it is now. RefusedError if it is no acceptable submission."""
        try:
            return parse_submission(self.text.encode(), self.task)
        except SubmissionRejected as rejected:
            raise RefusedError(f"Rejected: {rejected.reason}") from None

    def start_test(self) -> Submission | str:
        """What to test, or the report of the test that ran this very file before."""
        if len(self.state.trials) >= self.budget.tests:
            raise RefusedError("No test is left. Submit one of those that were run, with submit(n).")
        for number, trial in enumerate(self.state.trials, 1):
            if trial.text == self.text:
                return f"This very file was test {number}; no test was used.\n{trial.report}"
        return self.submission()

    def finish_test(self, submission: Submission, report: Report) -> str:
        """Keep the report of a test that has ended."""
        number = len(self.state.trials) + 1
        text = f"Test {number} of {self.budget.tests} (submit({number}) submits it)\n{report.text}"
        self.state.trials.append(Trial(text=submission.text, report=text, valid=report.valid, score=report.score))
        return text

    def submit(self, number: int) -> str:
        """End the rollout with the file of a test that was run."""
        run = len(self.state.trials)
        if not 1 <= number <= run:
            which = f"give a number from 1 to {run}" if run else "run one first, with test()"
            raise RefusedError(f"There is no test {number}: {which}.")
        self.state.submitted = number
        return f"Test {number} is submitted."

    def vanilla(self) -> Submission | None:
        """The file of the first test."""
        return self._trial(1) if self.state.trials else None

    def answer(self) -> Choice | None:
        """What was submitted or, if nothing was, the latest test with every seed scored, else the latest that has a
        result, which is collapsed."""
        trials = list(enumerate(self.state.trials, 1))
        valid = [number for number, trial in trials if trial.valid]
        collapsed = [number for number, trial in trials if trial.score is not None]
        number = self.state.submitted or next((tests[-1] for tests in (valid, collapsed) if tests), None)
        return Choice(number, self._trial(number)) if number else None

    def _trial(self, number: int) -> Submission:
        return parse_submission(self.state.trials[number - 1].text.encode(), self.task)

    def _range(self) -> tuple[int, int]:
        return len(self._head) + 1, len(self._head) + len(self.state.region)

    def _by_text(self, old: str, new: str) -> list[str]:
        region = "\n".join(self.state.region)
        count = region.count(old) if old else 0
        if count != 1:
            raise self._refused(f"`old` must stand in the region exactly once; it stands there {count} times.")
        return region.replace(old, new).split("\n")

    def _by_lines(self, first: int | None, last: int | None, new: str) -> list[str]:
        start, end = self._range()
        if first is None or last is None or not (start <= first <= end + 1 and first - 1 <= last <= end):
            raise self._refused(f"`first` and `last` must be lines of the editable region, {start} to {end}.")
        lines = new.removesuffix("\n").split("\n") if new else []
        return [*self.state.region[: first - start], *lines, *self.state.region[last - start + 1 :]]

    def _refused(self, why: str) -> RefusedError:
        return RefusedError(f"Not done: {why} {self.view()}")
