"""The local engine gives every job a record, tries again what failed on our side, and leaves nothing running."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlsbench import UserError
from mlsbench.harness.attempt import _stands
from mlsbench.harness.claim import claimed
from mlsbench.harness.engine import ATTEMPTS, Event
from mlsbench.harness.job import free_name
from mlsbench.harness.local import LocalEngine
from mlsbench.harness.plan import Job, Machine, plan
from mlsbench.harness.split import read_key
from mlsbench.harness.variant import variant
from mlsbench.scoring.record import Entry, Stored, write_record
from mlsbench.tasks import get_task, read_submission

TASK = get_task("security-membership-inference-defense")
SCORED = ("epochs=4", "members=256", "batch=16")  # small, yet far above chance
DEADLINE = 60


def make_jobs(runs: Path, seeds: tuple[int, ...] = (43,), overrides: tuple[str, ...] = SCORED) -> list[Job]:
    candidate = read_submission(TASK.path / TASK.spec.contract.file, TASK)
    entry = Entry(name="erm", type="vanilla", submission=candidate.sha256)
    machine = Machine(sandbox="process", device_kind="cpu", precision="fp32", threads=1)
    chosen, key = variant(TASK.spec, "smoke", overrides), read_key("public")
    return plan(TASK, candidate, entry, chosen, machine, key, runs, ["resnet20-digits"], seeds)


def children(name: str) -> list[int]:
    """Processes of ours, direct or not, whose command line holds `name`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _descends(int(entry.name)):
            try:
                if name.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass  # gone
    return found


def _descends(process: int) -> bool:
    while process > 1:
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
        if process == os.getpid():
            return True
    return False


def until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` gives once it is true."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE} s"
        time.sleep(0.02)
    return value


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self, react: Callable[[Event], None] = lambda event: None) -> None:
        self.events: list[Event] = []
        self._react = react

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._react(event)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Stored], Heard]:
    """Seeds 42 and 43, both at once, started in a folder that somebody filled with modules of well-known names."""
    heard, planted = Heard(), tmp_path_factory.mktemp("planted")
    for name in ("pydantic", "torch", "numpy", "csv", "json", "mlsbench", "sitecustomize"):
        (planted / f"{name}.py").write_text("raise SystemExit('planted')\n")
    jobs = make_jobs(tmp_path_factory.mktemp("runs"), (42, 43))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(planted)
        return LocalEngine(["cpu"], 2).run(jobs, heard), heard


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stored, Heard]:
    """Seed 43, whose first process was killed from outside after its first epoch."""

    def kill(event: Event) -> None:
        if event.kind == "epoch" and event.job.attempt == 1 and event.data["epoch"] == 1:
            (process,) = children("mlsbench.harness.job")
            os.kill(process, signal.SIGKILL)

    heard = Heard(kill)
    (stored,) = LocalEngine(["cpu"], 1).run(make_jobs(tmp_path_factory.mktemp("runs")), heard)
    return stored, heard


@pytest.fixture(scope="module")
def given_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stored, Heard]:
    """A job that fails for a reason of ours each time: a package that cannot be imported."""
    broken = tmp_path_factory.mktemp("broken")
    (broken / "pydantic.py").write_text("raise ImportError('half an installation')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{broken}:{os.environ.get('PYTHONPATH', '')}")
        heard = Heard()
        (stored,) = LocalEngine(["cpu"], 1).run(make_jobs(tmp_path_factory.mktemp("runs")), heard)
    return stored, heard


def test_jobs_that_run_at_once_are_scored_and_come_back_in_order(undisturbed: tuple[list[Stored], Heard]) -> None:
    stored, _ = undisturbed
    assert [(s.record.status, s.record.setting.seed) for s in stored] == [("scored", 42), ("scored", 43)]


def test_a_listener_hears_of_start_of_each_epoch_and_of_the_end(undisturbed: tuple[list[Stored], Heard]) -> None:
    stored, heard = undisturbed
    for seed, result in zip((42, 43), stored, strict=True):
        mine = [e for e in heard.events if e.job.setting.seed == seed]
        assert [e.kind for e in mine] == ["start", *["epoch"] * 4, "end"]
        assert [e.data["epoch"] for e in mine[1:-1]] == [1, 2, 3, 4]
        assert mine[-1].record == result.record


def test_a_finished_job_leaves_its_files_and_no_half_of_one(undisturbed: tuple[list[Stored], Heard]) -> None:
    for result in undisturbed[0]:
        names = {p.name for p in result.path.parent.iterdir()}
        assert {"record.json", "submission.py", "scores.npz", "weights.safetensors", "curve.csv"} <= names
        assert not [n for n in names if n.endswith(".tmp")]
        assert "job.log" not in names  # it was empty


@pytest.mark.slow
def test_a_job_killed_from_outside_is_tried_again(disturbed: tuple[Stored, Heard]) -> None:
    stored, heard = disturbed
    assert heard.kinds[:4] == ["start", "epoch", "retry", "start"]
    assert stored.record.attempts == 2
    assert stored.record.status == "scored"


@pytest.mark.slow
def test_the_reason_of_a_retry_names_the_signal(disturbed: tuple[Stored, Heard]) -> None:
    (retry,) = [e for e in disturbed[1].events if e.kind == "retry"]
    assert "SIGKILL" in retry.data["reason"]


@pytest.mark.slow
def test_a_retry_gives_the_numbers_of_an_undisturbed_run(
    disturbed: tuple[Stored, Heard], undisturbed: tuple[list[Stored], Heard]
) -> None:
    one, other = disturbed[0], undisturbed[0][1]
    assert one.record.metrics == other.record.metrics
    assert one.record.job_key == other.record.job_key
    for name in ("weights.safetensors", "curve.csv"):
        mine, theirs = ((s.path.parent / name).read_bytes() for s in (one, other))
        if name == "curve.csv":  # but for the seconds
            mine, theirs = (b"\n".join(line.split(b",")[2] for line in t.split()) for t in (mine, theirs))
        assert mine == theirs
    with np.load(one.path.parent / "scores.npz") as a, np.load(other.path.parent / "scores.npz") as b:
        assert all(np.array_equal(a[array], b[array]) for array in ("train_logits", "test_logits", "member"))


def test_what_fails_three_times_ends_as_infra_failed_with_the_reason(given_up: tuple[Stored, Heard]) -> None:
    stored, heard = given_up
    assert heard.kinds == ["start", "retry", "start", "retry", "start", "gave up", "end"]
    assert (stored.record.status, stored.record.attempts) == ("infra_failed", ATTEMPTS)
    assert "half an installation" in stored.record.reason
    assert stored.record.metrics == {}


def test_the_logs_of_all_attempts_stay(given_up: tuple[Stored, Heard]) -> None:
    logs = [given_up[0].path.parent / name for name in ("job.log", "job.1.log", "job.2.log")]
    assert all("half an installation" in log.read_text() for log in logs)


def test_what_was_given_up_is_run_again_the_next_time(given_up: tuple[Stored, Heard]) -> None:
    (job,) = make_jobs(given_up[0].path.parents[5])
    assert job.folder == given_up[0].path.parent
    assert job.finished() is None


@pytest.mark.slow
def test_a_users_mistake_is_passed_on_at_once_without_retry_record_or_process(tmp_path: Path) -> None:
    """Here a damaged dataset. A second job, which would train for long, is ended with it."""
    (tmp_path / "cifar10.npz").write_bytes(b"no archive")
    (bad,), (long,) = make_jobs(tmp_path / "bad"), make_jobs(tmp_path / "long", overrides=("epochs=9999", "members=64"))
    setting = bad.setting.model_copy(update={"benchmark": "resnet20-cifar10"})
    bad = bad.model_copy(update={"setting": setting, "data": tmp_path})
    heard = Heard()
    with pytest.raises(UserError, match=r"mlsbench data prepare cifar10"):
        LocalEngine(["cpu"], 2).run([long, bad], heard)
    assert not {"retry", "gave up", "end"} & set(heard.kinds)
    until(lambda: not children("mlsbench"), "all jobs and workers are gone")
    assert not list(tmp_path.rglob("record.json"))


def test_what_one_job_was_given_up_for_the_next_one_does_not_find_out_three_times(tmp_path: Path) -> None:
    broken = {"training": make_jobs(tmp_path)[0].training.model_copy(update={"batch": 0})}
    jobs = [job.model_copy(update=broken) for job in make_jobs(tmp_path, (42, 43))]
    heard = Heard()
    first, second = LocalEngine(["cpu"], 1).run(jobs, heard)
    assert heard.kinds == [*["start", "retry"] * 2, "start", "gave up", "end", "start", "gave up", "end"]
    assert first.record.reason == second.record.reason
    assert second.record.attempts == 1


@pytest.mark.slow
def test_numbers_stand_though_something_fails_afterwards_and_a_recorded_failure_is_looked_into_again(
    tmp_path: Path,
) -> None:
    (job,) = make_jobs(tmp_path, overrides=("epochs=1", "members=64", "batch=16"))
    assert not _stands(job)
    (stored,) = LocalEngine(["cpu"], 1).run([job], Heard())
    assert _stands(job)
    write_record(job.folder, stored.record.model_copy(update={"status": "failed", "metrics": {}}))
    assert not _stands(job)


def test_jobs_import_nothing_from_the_current_folder(undisturbed: tuple[list[Stored], Heard]) -> None:
    assert [s.record.attempts for s in undisturbed[0]] == [1, 1]


def test_a_job_that_another_holds_is_not_run_twice(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path)
    with claimed(job), pytest.raises(UserError, match="another process is running resnet20-digits seed 43"):
        LocalEngine(["cpu"], 1).run([job], Heard())


def test_a_folder_that_another_jobs_run_holds_is_left_to_it(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path)
    other = job.model_copy(update={"setting": job.setting.model_copy(update={"sandbox": "bubblewrap"})})
    with claimed(job) as first, claimed(other) as second:
        assert first.folder == job.folder
        assert second.folder.parent == job.folder.parent
        assert second.folder != job.folder


def test_a_claim_ends_with_its_block(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path)
    for _ in range(2):
        with claimed(job) as mine:
            assert mine.folder == job.folder


def test_a_runs_folder_that_cannot_be_written_is_told_as_the_error_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        LocalEngine(["cpu"], 1).run(make_jobs(tmp_path / "file"), Heard())


def test_what_a_killed_commands_job_half_writes_meanwhile_is_gone_after_the_claim(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path)
    with claimed(job) as mine:
        left = mine.folder / ".record.json.0123abcd.tmp"
        left.write_bytes(b"{")
    assert not left.exists()


def test_nothing_is_written_through_a_link_in_a_locks_place(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path / "runs")
    other = tmp_path / "other"
    other.write_text("precious")
    job.folder.mkdir(parents=True)
    (job.folder / ".lock").symlink_to(other)
    with pytest.raises(UserError, match="no regular file"), claimed(job):
        pass
    assert other.read_text() == "precious"


@pytest.mark.parametrize("above", range(4))
def test_nothing_is_written_through_a_link_in_a_folders_place(tmp_path: Path, above: int) -> None:
    (job,) = make_jobs(tmp_path / "runs")
    other, place = tmp_path / "other", [job.folder, *job.folder.parents][above]
    other.mkdir()
    place.parent.mkdir(parents=True)
    place.symlink_to(other)
    with pytest.raises(UserError, match="symbolic link"), claimed(job):
        pass
    assert not list(other.rglob(".lock"))


def test_a_log_is_not_written_through_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.symlink_to(tmp_path / "nowhere")
    assert not os.path.lexists(free_name(log))
