"""`audit --references` trains complementary pairs of more seeds in the setting of the entry's records, once, and they
change no table."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mlsbench.cli.launch import Launch
from mlsbench.cli.references import reference_seeds
from mlsbench.harness.data import load
from mlsbench.harness.launch import Options
from mlsbench.harness.split import membership
from mlsbench.scoring import Entry, Record, read_record, write_record
from mlsbench.tasks import get_task, read_submission

TASK, MEMBERS = "security-membership-inference-defense", 64
OVERRIDES = ["epochs=1", f"members={MEMBERS}"]
CHOICE = ["--protocol", "smoke", "--benchmark", "resnet20-digits", *(p for o in OVERRIDES for p in ("--override", o))]

Call = Callable[..., tuple[int, str, str]]
Candidate = Callable[[str], Path]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, candidate: Candidate) -> Write:
    """write(seed, name=…, body=…, key=…, frozen=…): a scored record, as `run` leaves it, of a model that is surer of
    members."""
    task = get_task(TASK)
    data = load("digits", task.spec.datasets["digits"], None, MEMBERS)

    def job(
        seed: int, name: str = "mine", body: str = "return F.cross_entropy(logits, labels)", key: str = "public",
        **changes: str,
    ) -> Path:  # fmt: skip
        submission = read_submission(candidate(body), task)
        options = Options(
            protocol="smoke", benchmarks=["resnet20-digits"], seeds=[seed], key=key, sandbox="process", runtime=None,
            device="cpu", deterministic=False, engine="local", jobs=1, runs=tmp_path / "runs", overrides=OVERRIDES,
        )  # fmt: skip
        entry = Entry(name=name, type="agent", submission=submission.sha256)
        (planned,) = Launch(task, options).plan([(entry, submission)])
        random = np.random.default_rng(seed)
        member = membership(planned.key, seed, data.train_keys)
        logits = random.normal(size=(len(member), 10)).astype(np.float32)
        logits[np.arange(len(member)), data.train_labels] += 2 + 2 * member
        test = random.normal(size=(len(data.test_labels), 10)).astype(np.float32)
        kept = io.BytesIO()
        np.savez(kept, train_logits=logits, test_logits=test, member=member)
        setting = planned.setting.model_copy(update=changes)
        record = Record(
            job_key=setting.job_key(entry.submission), entry=entry, setting=setting, status="scored",
            metrics={m.name: 0.5 for m in task.spec.metrics}, created=datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        planned.folder.mkdir(parents=True)
        (planned.folder / "scores.npz").write_bytes(kept.getvalue())
        (planned.folder / "submission.py").write_bytes(submission.data)
        return write_record(planned.folder, record)

    return job


@pytest.fixture
def command(call: Call, tmp_path: Path) -> Call:
    return lambda verb, *options: call(verb, TASK, *options, *CHOICE, "--runs", tmp_path / "runs")


@pytest.mark.parametrize(
    ("taken", "seeds"), [((42, 43), (44, 45)), ((42, 43, 44, 45), (46, 47)), ((7,), (8, 9)), ((6,), (8, 9))]
)
def test_references_are_whole_pairs_above_the_pairs_of_the_targets(
    taken: tuple[int, ...], seeds: tuple[int, ...]
) -> None:
    assert reference_seeds(taken, 2) == seeds


@pytest.mark.slow
def test_references_are_trained_in_the_records_setting_once_and_no_table_counts_them(
    command: Call, write: Write
) -> None:
    first = write(42)
    write(43)
    before = json.loads(command("table", "--format", "json")[1])
    status, _, errors = command("audit", "mine", "--references", 2, "--sandbox", "process")
    assert (status, "seeds 44, 45; 2 models are to be trained" in errors) == (0, True)
    own = read_record(first)
    trained = [read_record(first.parent.parent / f"seed-{seed}" / "record.json") for seed in (44, 45)]
    for record in trained:
        assert record.entry == own.entry
        assert record.setting == own.setting.model_copy(update={"seed": record.setting.seed})
    assert "0 models are to be trained" in command("audit", "mine", "--references", 2, "--sandbox", "process")[2]
    after = json.loads(command("table", "--format", "json")[1])
    assert after["rows"] == before["rows"]
    assert after["left_out"] == ["2 records left out: of seeds 44, 45, the table is of 42, 43 (--seed chooses)"]


@pytest.mark.slow
def test_a_record_does_not_choose_the_sandbox(command: Call, write: Write, tmp_path: Path) -> None:
    path = write(42, sandbox="no such sandbox")
    write(43, sandbox="no such sandbox")
    status, _, errors = command("audit", "mine", "--references", 2, "--sandbox", "process")
    assert (status, "2 models are to be trained" in errors) == (0, True), errors
    assert read_record(path.parent.parent / "seed-44" / "record.json").setting.sandbox == "process"


@pytest.mark.slow
def test_models_of_other_seeds_than_the_protocols_are_references_only(command: Call, write: Write) -> None:
    paths = {seed: write(seed) for seed in (42, 43, 44, 45)}
    document = json.loads(command("audit", "mine", "--references", 2, "--json")[1])[0]
    assert {seed["seed"]: seed["references"] for seed in document["seeds"]} == {42: [44, 45], 43: [44, 45]}
    digests = {seed: hashlib.sha256(path.read_bytes()).hexdigest() for seed, path in paths.items()}
    assert document["references_only"] == {str(seed): digests[seed] for seed in (44, 45)}
    assert "rmia" in {result["name"] for result in document["seeds"][0]["attacks"]}
    assert "references only: 44, 45" in command("audit", "mine")[1]


def test_a_seed_of_ones_own_choice_is_attacked(command: Call, write: Write) -> None:
    for seed in (42, 43, 44, 45):
        write(seed)
    document = json.loads(command("audit", "mine", "--seed", 44, "--json")[1])[0]
    assert [seed["seed"] for seed in document["seeds"]] == [44]
    assert document["references_only"].keys() == {"42", "43", "45"}


def test_where_none_of_the_protocols_seeds_is_kept_all_are_attacked(command: Call, write: Write) -> None:
    write(8)
    assert [seed["seed"] for seed in json.loads(command("audit", "--json")[1])[0]["seeds"]] == [8]


def test_a_seed_that_is_not_kept_is_said(command: Call, write: Write) -> None:
    write(42)
    status, _, errors = command("audit", "mine", "--seed", 50)
    assert (status, "seed 50 is not kept" in errors) == (1, True)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["mine", "--references", 3], "even number"),
        (["--references", 2], "name the ENTRY"),
        (["nobody", "--references", 2], "no entry 'nobody'"),
        (["mine", "--references", 2, "--device", "cuda"], "made on cpu"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake(command: Call, write: Write, options: list[object], fault: str) -> None:
    write(42)
    status, _, errors = command("audit", *options)
    assert (status, fault in errors) == (2, True), errors


def test_a_name_that_two_submissions_share_is_not_enough(command: Call, write: Write) -> None:
    write(42)
    write(42, body="return 2 * F.cross_entropy(logits, labels)")
    status, _, errors = command("audit", "mine", "--references", 2)
    assert (status, "several entries are called 'mine'" in errors) == (2, True)


@pytest.mark.parametrize(
    ("changes", "word"), [({"frozen": "f" * 64}, "code"), ({"device_kind": "cuda"}, "device kind cuda")]
)
def test_a_setting_that_cannot_be_had_here_is_said(
    command: Call, write: Write, tmp_path: Path, changes: dict[str, str], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlsbench.harness.device.DRIVERS", ())
    write(42, **changes)
    status, _, errors = command("audit", "mine", "--references", 2)
    assert (status, word in errors) == (2, True), errors
    assert not list(tmp_path.rglob("seed-44"))


@pytest.mark.parametrize("text", [None, "class MembershipDefense: pass\n"])
def test_without_the_records_own_submission_nothing_is_trained(
    command: Call, write: Write, tmp_path: Path, text: str | None
) -> None:
    file = write(42).with_name("submission.py")
    file.unlink() if text is None else file.write_text(text)
    status, _, errors = command("audit", "mine", "--references", 2)
    assert (status, "submission.py" in errors) == (2, True)
    assert not list(tmp_path.rglob("seed-44"))


@pytest.mark.slow
def test_records_of_a_secret_key_want_its_file(command: Call, write: Write, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    for seed in (42, 43, 44, 45):
        write(seed, key=str(key))
    status, _, errors = command("audit", "mine", "--references", 2)
    assert (status, "--key FILE" in errors) == (2, True)
    assert command("audit", "mine", "--references", 2, "--key", key)[0] == 0
