"""An attack meets examples in a secret order and models that are trained once, and answers for its own faults alone."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from mlsbench import UserError
from mlsbench.harness.claim import claimed
from mlsbench.harness.data import load
from mlsbench.harness.engine import CLAIM_SECONDS, Engine, Listener, StoppedError
from mlsbench.harness.job import run
from mlsbench.harness.launch import Launch, Options
from mlsbench.harness.measure import MeasureError
from mlsbench.harness.plan import Job
from mlsbench.harness.split import membership, read_key, secret_order
from mlsbench.scoring.record import RECORD_FILE, Entry, Record, Stored, find_records, write_record
from mlsbench.tasks import Submission, Task, TaskFolder, baseline_path, get_task, read_submission, target_of
from mlsbench.tasks.spec import Target

TASK = get_task("security-membership-inference-attack")
SMALL = ("epochs=8", "members=300")
MLP = "mlp-prototypes"
HEAD = "class MembershipAttack:\n    def fit(self, logits, labels, member):\n        "
TAIL = "\n    def score(self, logits, labels):\n        return "
DATA = load("prototypes", TASK.spec.datasets["prototypes"], None, 300)
KEY = read_key("public").secret

Write = Callable[..., Submission]


class Here(Engine):
    """Runs jobs in this process, one after another, and says which it ran."""

    def __init__(self) -> None:
        super().__init__(1)
        self.ran: list[str] = []

    def _attempt(self, job: Job, listener: Listener) -> str | None:
        self.ran.append(f"{job.entry.name} {job.setting.seed}")
        threads = torch.get_num_threads()
        try:
            # One thread: two that wait for each other are slow on a busy machine.
            run(job.model_copy(update={"threads": 1}), lambda event: None, time.monotonic())
        finally:
            torch.set_num_threads(threads)
        return None

    def _end_all(self) -> None:
        pass


class Telling(Here):
    """As an engine hears from another process: what went wrong is a text."""

    def _attempt(self, job: Job, listener: Listener) -> str | None:
        try:
            return super()._attempt(job, listener)
        except MeasureError as error:
            return str(error)


def launch(
    runs: Path, benchmarks: tuple[str, ...] = (MLP,), seeds: tuple[int, ...] = (42,), sandbox: str = "inprocess",
    overrides: tuple[str, ...] = SMALL,
) -> Launch:  # fmt: skip
    options = Options("smoke", benchmarks, seeds, "public", sandbox, None, "cpu", False, "local", 1, runs, overrides)
    return Launch(TASK, options)


def attack(launch: Launch, submission: Submission, name: str, engine: Engine | None = None) -> list[Record]:
    entry = Entry(name=name, type="agent", submission=submission.sha256)
    return [s.record for s in launch.run(launch.plan([(entry, submission)]), engine or Here())]


def baseline(name: str) -> Submission:
    return read_submission(baseline_path(TASK.spec.id, name), TASK)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Submission]:
    """written(body of fit, expression that score returns): a submission."""

    def write(score: str, fit: str = "pass") -> Submission:
        file = tmp_path / "attack.py"
        file.write_text(HEAD + fit + TAIL + score + "\n")
        return read_submission(file, TASK)

    return write


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the models of `smoke` are trained, a little."""
    folder = tmp_path_factory.mktemp("attacked")
    for benchmark in TASK.spec.protocols["smoke"].benchmarks:
        attack(launch(folder, (benchmark,)), baseline("gap"), "first")
    return folder


def memorizing(job: Job) -> None:
    """Write what training would leave of models that know each member by heart and nothing else."""
    for model in job.models:
        member = membership(KEY, model.setting.seed, DATA.train_keys)
        logits = np.zeros((len(member), 10), np.float32)
        right = np.where(member, DATA.train_labels, (DATA.train_labels + 1) % 10)
        logits[np.arange(len(member)), right] = 9
        model.folder.mkdir(parents=True)
        np.savez(model.folder / "scores.npz", train_logits=logits, test_logits=logits[:2], member=member)
        record = Record(
            job_key=model.setting.job_key(model.entry.submission), entry=model.entry, setting=model.setting,
            status="scored", metrics={}, created="2026-01-01T00:00:00Z",
        )  # fmt: skip
        write_record(model.folder, record)


def kept(job: Job) -> np.ndarray:
    with np.load(job.folder / "scores.npz") as arrays:
        return arrays["scores"]


def by_heart(runs: Path, submission: Submission, seed: int = 42) -> tuple[Job, Record]:
    """The attack of `submission` on a target that memorizes, whose references do, too."""
    started = launch(runs, seeds=(seed,))
    (job,) = started.plan([(Entry(name="mine", type="agent", submission=submission.sha256), submission)])
    memorizing(job)
    (stored,) = started.run([job], Here())
    return job, stored.record


@pytest.mark.parametrize("benchmark", TASK.spec.protocols["smoke"].benchmarks)
def test_every_baseline_is_scored_on_smoke(runs: Path, benchmark: str) -> None:
    for name in TASK.spec.baselines:
        for record in attack(launch(runs, (benchmark,)), baseline(name), name):
            assert record.status == "scored", record.reason
            assert 0 <= record.metrics["auc"] <= 1
            assert record.metrics["tpr_at_1_percent_fpr"] is None  # of 300 non-members that would be three
            assert record.audit == {}


def test_models_are_trained_once_and_no_table_shows_them(runs: Path) -> None:
    engine = Here()
    attack(launch(runs), baseline("rmia"), "again", engine)
    assert engine.ran == ["again 42"]
    assert not [s for s in find_records(runs)[0] if s.record.entry.name == "erm"]


def test_the_record_names_what_was_attacked(runs: Path) -> None:
    started = launch(runs)
    submission = baseline("gap")
    (job,) = started.plan([(Entry(name="named", type="agent", submission=submission.sha256), submission)])
    (stored,) = started.run([job], Here())
    digests = [hashlib.sha256((m.folder / "scores.npz").read_bytes()).hexdigest() for m in job.models]
    names = ["target-42", "reference-50", "reference-51", "reference-52", "reference-53"]
    assert stored.record.training == dict(zip(names, digests, strict=True))


def test_a_right_attack_on_a_memorizer_has_auc_one_and_its_opposite_none(tmp_path: Path, written: Write) -> None:
    _, right = by_heart(tmp_path / "a", baseline("gap"))
    _, wrong = by_heart(tmp_path / "b", written("-(logits.argmax(1) == labels).float()"))
    assert right.metrics["auc"] == 1
    assert right.metrics["advantage"] == 0.5
    assert wrong.metrics["auc"] == 0


def test_constant_scores_are_a_guess_and_scored(tmp_path: Path, written: Write) -> None:
    _, record = by_heart(tmp_path, written("torch.zeros(len(labels))"))
    assert (record.status, record.metrics["auc"], record.metrics["advantage"]) == ("scored", 0.5, 0)


def test_the_order_is_another_under_every_seed_and_undone_in_what_is_kept(tmp_path: Path, written: Write) -> None:
    places = []
    for seed in (42, 43):
        job, _ = by_heart(tmp_path / str(seed), written("torch.arange(len(labels)).float()"), seed)
        places.append(kept(job))
        order = secret_order(KEY, MLP, seed, DATA.train_keys)
        assert (places[-1][order] == np.arange(600)).all()
    assert sorted(places[0]) == list(range(600))
    for one, other in ((places[0], places[1]), (places[0], np.arange(600)), (places[1], np.arange(600))):
        assert (one == other).mean() < 0.05


def test_under_another_key_members_and_order_are_others() -> None:
    keys, other = DATA.train_keys, bytes(32)
    assert 0.4 < (membership(KEY, 42, keys) == membership(other, 42, keys)).mean() < 0.6
    assert (secret_order(KEY, MLP, 42, keys) == secret_order(other, MLP, 42, keys)).mean() < 0.05


def test_references_labels_and_target_are_in_one_order(tmp_path: Path, written: Write) -> None:
    code = "self.known = sum(2**i * m for i, m in enumerate(member)), labels"
    job, _ = by_heart(tmp_path, written("(self.known[0] + 16 * labels * (self.known[1] == labels)).float()", code))
    members = [membership(KEY, seed, DATA.train_keys) for seed in (50, 51, 52, 53)]
    expected = sum(2**i * m for i, m in enumerate(members)) + 16 * DATA.train_labels
    assert (kept(job) == expected).all()


def test_every_example_has_as_many_references_with_it_as_without(tmp_path: Path, written: Write) -> None:
    job, _ = by_heart(tmp_path, written("self.count.float()", "self.count = member.sum(0)"))
    assert (kept(job) == 2).all()


@pytest.mark.parametrize(
    ("score", "said"),
    [
        ("torch.full((len(labels),), float('nan'))", "score returned 100 of 100 scores that are not finite"),
        ("torch.full((len(labels),), 1e300, dtype=torch.float64)", "score returned 100 of 100 scores"),
        ("torch.zeros(len(labels) - 1)", "one of shape (99,); (100,) is due"),
        ("torch.zeros(1)", "one of shape (1,); (100,) is due"),
        ("torch.zeros(len(labels), 1)", "one of shape (100, 1); (100,) is due"),
        ("labels", "one of torch.int64"),
        ("None", "a value of type NoneType"),
    ],
)
def test_what_is_no_score_is_rejected_in_words(tmp_path: Path, written: Write, score: str, said: str) -> None:
    _, record = by_heart(tmp_path, written(score))
    assert record.status == "rejected"
    assert said in record.reason


def test_what_is_no_score_on_the_target_alone_failed(tmp_path: Path, written: Write) -> None:
    _, record = by_heart(tmp_path, written("logits[:, 0] / (len(labels) != 600)"))
    assert record.status == "failed"
    assert record.reason.startswith("failed: score returned ")


def test_a_model_that_was_not_trained_is_not_the_attacks_fault(tmp_path: Path) -> None:
    submission, started = baseline("rmia"), launch(tmp_path)
    (job,) = started.plan([(Entry(name="mine", type="agent", submission=submission.sha256), submission)])
    memorizing(job)
    path = job.models[2].folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "collapsed", "reason": "collapsed: flat"}))
    engine = Here()
    (stored,) = started.run([job], engine)
    assert stored.record.status == "infra_failed"
    assert "the reference of seed 51 is no trained model, collapsed: flat" in stored.record.reason
    assert engine.ran == []


def test_what_is_the_fault_of_measure_py_is_not_tried_again(tmp_path: Path) -> None:
    submission = baseline("gap")
    (job,) = launch(tmp_path).plan([(Entry(name="mine", type="agent", submission=submission.sha256), submission)])
    memorizing(job)
    engine = Telling()
    broken = job.model_copy(update={"measure": "def measure(model):\n    return 1 / 0\n"})
    (stored,) = engine.run([broken], lambda event: None)
    assert (stored.record.status, stored.record.attempts) == ("infra_failed", 1)
    assert engine.ran == ["mine 42"]


@pytest.mark.parametrize("change", ["members", "numbers", "shape", "missing"])
def test_what_lies_in_a_models_place_is_not_attacked(tmp_path: Path, change: str) -> None:
    submission, started = baseline("gap"), launch(tmp_path)
    (job,) = started.plan([(Entry(name="mine", type="agent", submission=submission.sha256), submission)])
    memorizing(job)
    path = job.models[1].folder / "scores.npz"
    with np.load(path) as arrays:
        logits, member = arrays["train_logits"], arrays["member"]
    path.unlink()
    if change == "members":
        np.savez(path, train_logits=logits, test_logits=logits, member=~member)
    elif change == "numbers":
        np.savez(path, train_logits=logits, test_logits=logits, member=member.astype(np.int64))
    elif change == "shape":
        np.savez(path, train_logits=logits[1:], test_logits=logits, member=member)
    with pytest.raises(UserError, match="scores"):
        started.run([job], Here())


def changed(**protocol: object) -> Task:
    document = TASK.spec.model_dump(mode="json", by_alias=True)
    document["protocols"]["smoke"] |= protocol
    return Task.model_validate(document)


@pytest.mark.parametrize(
    ("references", "said"),
    [
        ([43, 42], "seed 42 is of the pair of a target"),
        ([46, 47, 48], "whole pairs"),
        ([46, 47, 46, 47], "once each"),
        ([], "an attack needs some"),
    ],
)
def test_a_specification_cannot_give_membership_away_by_its_references(references: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        changed(references=references)


def test_the_other_half_of_a_targets_pair_is_no_reference() -> None:
    with pytest.raises(ValueError, match="seed 42 is of the pair of a target"):
        changed(seeds=[43], references=[42, 43])


def test_targets_attacked_side_by_side_are_never_complements(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="42 and 43 are one pair"):
        changed(seeds=[42, 44, 43])
    submission = baseline("gap")
    with pytest.raises(UserError, match="--seed 45 and --seed 44: are one pair"):
        launch(tmp_path, seeds=(42, 45, 44)).plan([(Entry(name="mine", type="agent", submission="0" * 64), submission)])


@pytest.mark.parametrize("seed", [50, 53])
def test_nobody_can_ask_for_a_target_of_a_references_pair(tmp_path: Path, seed: int) -> None:
    submission = baseline("gap")
    with pytest.raises(UserError, match=f"--seed {seed}"):
        launch(tmp_path, seeds=(seed,)).plan([(Entry(name="mine", type="agent", submission="0" * 64), submission)])


def models_with(runs: Path, threads: int, deterministic: bool) -> tuple[Job, ...]:
    options = Options(
        "smoke", (MLP,), (42,), "public", "inprocess", None, "cpu", deterministic, "local", 1, runs, SMALL, threads
    )
    (job,) = Launch(TASK, options).plan([(Entry(name="mine", type="agent", submission="0" * 64), baseline("gap"))])
    return job.models


def test_models_trained_with_other_threads_or_deterministically_lie_apart(tmp_path: Path) -> None:
    ways = [(threads, deterministic) for threads in (1, 2) for deterministic in (False, True)]
    trained = [model for way in ways for model in models_with(tmp_path, *way)]
    assert len({model.folder for model in trained}) == len(trained) == 4 * 5


def waiting(model: Job, engine: Engine) -> Future[list[Stored]]:
    """A run of `model`, which somebody has claimed, in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    started = pool.submit(engine.run, [model], lambda event: None)
    pool.shutdown(wait=False)
    with pytest.raises(TimeoutError):
        started.result(timeout=2 * CLAIM_SECONDS)
    return started


def test_a_model_that_another_command_trains_is_waited_for_and_taken(tmp_path: Path) -> None:
    job, _ = by_heart(tmp_path, baseline("gap"))
    record = job.models[0].folder / RECORD_FILE
    text, engine = record.read_text(), Here()
    record.unlink()
    with claimed(job.models[0]):
        started = waiting(job.models[0], engine)
        record.write_text(text)
    (stored,) = started.result(timeout=60)
    assert (stored.path, stored.record.status, engine.ran) == (record, "scored", [])


def test_who_waits_for_another_commands_model_can_be_stopped(tmp_path: Path) -> None:
    model, engine = models_with(tmp_path, 1, False)[0], Here()
    with claimed(model):
        started = waiting(model, engine)
        engine.stop()
        with pytest.raises(StoppedError):
            started.result(timeout=60)


@pytest.mark.parametrize(
    ("other", "name", "said"),
    [
        ("security-membership-inference-set-defense", "none", "shows its loss non-members"),
        ("security-poison-robust-learning", "cross_entropy", "poisons labels"),
    ],
)
def test_models_that_an_attack_cannot_be_judged_on_are_no_targets(other: str, name: str, said: str) -> None:
    spec = TASK.spec.model_copy(update={"target": Target(task=other, baseline=name)})
    with pytest.raises(UserError, match=f"task.toml: target: {other} {said}"):
        target_of(TaskFolder(TASK.path, spec))


def test_canaries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="canaries"):
        launch(tmp_path, overrides=("canaries=5",))


def test_an_attacks_key_follows_from_how_its_targets_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlsbench.harness.frozen import frozen_digest

    spec = TASK.spec
    digests = {frozen_digest(TASK)}
    for baseline_name in ("relaxloss", "label_smoothing"):
        target = spec.target.model_copy(update={"baseline": baseline_name})
        monkeypatch.setattr(TaskFolder, "digest", lambda self: "0" * 64)  # of the task itself all else is the same
        digests.add(frozen_digest(TaskFolder(TASK.path, spec.model_copy(update={"target": target}))))
    assert len(digests) == 3
