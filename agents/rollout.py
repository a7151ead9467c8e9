"""One rollout: its tests under a key of their own, then its two submissions under the key of the table."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mlsbench import MachineError, UserError
from mlsbench.agents.feedback import Report, fixed_reason, report
from mlsbench.agents.prompt import prompt, shown_variant
from mlsbench.agents.workbench import Budget, RefusedError, Workbench
from mlsbench.harness.check import check
from mlsbench.harness.engine import Engine
from mlsbench.harness.launch import Launch, Options, columns
from mlsbench.harness.split import KEY_BYTES, PUBLIC
from mlsbench.scoring import Entry, Plan, Stored, aggregate, find_records
from mlsbench.scoring.aggregation import EntryKey, EntryResult, missing_entry
from mlsbench.scoring.record import write_whole
from mlsbench.scoring.rollouts import KINDS, End, Rollout, rollout_folder, write_rollout
from mlsbench.tasks import Submission, SubmissionRejected, TaskFolder, parse_submission

TEST_KEY = "test-key"


@dataclass(frozen=True)
class Spent:
    """What a conversation took, and where it is written down."""

    seconds: float
    tokens: int
    cost: float | None
    transcript: str


class Grading:
    """What all rollouts of a command share: the task, the options, and this machine resolved for them.

    Raises UserError if jobs of these options cannot run here.
    """

    def __init__(self, task: TaskFolder, options: Options, budget: Budget) -> None:
        if options.sandbox == "inprocess":
            raise UserError("--sandbox inprocess is for debugging: what a model wrote runs in a sandbox only")
        self.task, self.options, self.budget = task, options, budget
        self.launch = Launch(task, options)
        self.shown = shown_variant(task, self.launch.variant, self.launch.benchmarks)
        template = parse_submission(task.template().encode(), task)
        self.launch.plan([(Entry(name="template", type="agent", submission=template.sha256), template)])

    def prompt(self) -> str:
        """The first message of every rollout."""
        return prompt(
            self.task,
            self.shown,
            self.launch.seeds,
            self.budget,
            self.launch.runs,
            public=self.launch.key.name == PUBLIC,
        )


class LiveRollout:
    """A rollout at work. It alone knows the keys; nothing that it hands out holds them.

    ended: why it will have ended if nothing is submitted; seconds: how long its conversation took.
    """

    def __init__(self, grading: Grading, name: str, identity: str) -> None:
        self.grading, self.name, self.identity = grading, name, identity
        self.bench = Workbench(grading.task, grading.budget)
        self.ended: End = "actions"
        self.seconds = 0.0
        launch = grading.launch
        self.folder = rollout_folder(launch.runs, launch.task.spec.id, launch.variant.name, identity)
        key = self.folder / TEST_KEY
        try:
            self.folder.mkdir(parents=True)
            _write_key(key)
        except OSError as error:
            raise UserError(
                f"{error.filename}: {error.strerror}; --runs must name a folder with room to write"
            ) from None
        own = replace(
            grading.options, key=str(key), runs=self.folder / "tests", benchmarks=grading.shown.benchmarks,
            seeds=launch.seeds,
        )  # fmt: skip
        self._tests = Launch(grading.task, own)
        if self._tests.key.digest == launch.key.digest:
            raise UserError("the key of the tests is that of the grading")

    def validate(self, submission: Submission) -> str:
        """Probe `submission`. Raises RefusedError, in fixed words, if it breaks the contract."""
        options = self.grading.options
        try:
            check(self.grading.task.spec, submission, self.grading.shown, options.sandbox, options.runtime)
        except SubmissionRejected as rejected:
            raise RefusedError(f"Rejected: {fixed_reason(rejected.reason)}.") from None
        return "Accepted: the file keeps the contract."

    def engine(self) -> Engine:
        """An engine for one call of `test` or `grade`, so that it can be stopped."""
        return self._tests.engine()

    def test(self, submission: Submission, engine: Engine) -> Report:
        """Train and attack with `submission` on what the agent may see. MachineError if something of ours fails."""
        jobs = self._tests.plan([(self._entry("agent", submission), submission)])
        stored = self._tests.run(jobs, engine)
        _only_theirs(stored)
        return report(stored, self._tests.table_plan())

    def close(self, spent: Spent) -> Rollout:
        """Write down how the rollout ended, before anything is graded."""
        bench, launch = self.bench, self.grading.launch
        answer = bench.answer()
        submissions = {"vanilla": bench.vanilla(), "agent": answer.submission if answer else None}
        for kind, submission in submissions.items():
            if submission:
                write_whole(self.folder / f"{kind}.py", submission.data)
        group = launch.group()
        rollout = Rollout(
            id=self.identity, name=self.name, **group._asdict(), test_key=self._tests.key.digest,
            benchmarks=launch.benchmarks, seeds=launch.seeds,
            vanilla=submissions["vanilla"].sha256 if submissions["vanilla"] else None,
            agent=answer.submission.sha256 if answer else None, submitted_test=answer.number if answer else None,
            ended="submitted" if bench.state.submitted else self.ended, tests=len(bench.state.trials),
            actions=bench.state.actions, seconds=spent.seconds, tokens=spent.tokens, cost=spent.cost,
            transcript=spent.transcript, created=datetime.now(UTC),
        )  # fmt: skip
        write_rollout(self.folder, rollout)
        return rollout

    def grade(self, engine: Engine) -> None:
        """Run the two submissions as ordinary entries. MachineError if something of ours fails."""
        answer = self.bench.answer()
        both = (self.bench.vanilla(), answer.submission if answer else None)
        entries = [(self._entry(kind, one), one) for kind, one in zip(KINDS, both, strict=True) if one]
        launch = self.grading.launch
        _only_theirs(launch.run(launch.plan(entries), engine))

    def _entry(self, kind: str, submission: Submission) -> Entry:
        return Entry.model_validate({"name": self.name, "type": kind, "submission": submission.sha256})


def results(runs: Path, task: TaskFolder, rollout: Rollout) -> dict[str, EntryResult]:
    """The results of a rollout's vanilla and agent entries, read from their records; nothing is trained."""
    plan = Plan(rollout.benchmarks, rollout.seeds, columns(task.spec))
    stored, _ = find_records(runs / rollout.task / rollout.protocol)
    found: dict[str, EntryResult] = {}
    for kind in KINDS:
        entry = rollout.entry(kind)
        own = [s.record for s in stored if s.record.entry == entry and s.record.setting.group() == rollout.group()]
        if entry is None or not own:
            key = EntryKey(rollout.name, kind, entry.submission if entry else "")
            found[kind] = missing_entry(key, "missing", "", plan)
        else:
            (found[kind],) = aggregate(own, plan)
    return found


def _only_theirs(stored: Sequence[Stored]) -> None:
    for one in stored:
        if one.record.status in ("infra_failed", "cancelled"):
            raise MachineError(f"{one.path.parent}: {one.record.status}: {one.record.reason}")


def _write_key(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
