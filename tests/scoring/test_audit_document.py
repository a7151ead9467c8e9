"""An audit says everything of every seed, names what it used, is whole JSON, and other tools can read its export."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from attack_arrays import changed, model, trained
from rich.console import Console
from scipy.special import softmax

from mlsbench import UserError
from mlsbench.scoring import Record
from mlsbench.scoring.attacks import AUDIT_1, PAPER, REFERENCES
from mlsbench.scoring.audit import Kept, audit_entry
from mlsbench.scoring.audit_document import Audit
from mlsbench.scoring.audit_rich import rich_audit
from mlsbench.scoring.export import export_scores
from mlsbench.scoring.kept import read_curve, read_scores
from mlsbench.scoring.membership import confidence_order, membership_auc

SEEDS = (42, 43, 44, 45)
TEST_LABELS = np.arange(90) % 10


@pytest.fixture
def kept(make_record: Callable[..., Record]) -> dict[int, Kept]:
    labels = model((5, 1), (4, 1), examples=300).labels
    found = {}
    for seed in SEEDS:
        outputs = changed(model((5, 2), (3, 2), right=(1, 0.8), examples=300, seed=seed), labels=labels)
        found[seed] = Kept(make_record(seed=seed, name="[red]x"), f"{seed:064x}", trained(outputs, seed=seed))
    return found


@pytest.fixture
def done(kept: dict[int, Kept]) -> Audit:
    return audit_entry(kept, {"seed 46": "seed 46: failed, not scored"})


def test_the_document_reads_back_as_it_was(done: Audit) -> None:
    assert Audit.model_validate_json(done.model_dump_json()) == done


def test_every_attack_is_in_it_or_says_why_not(done: Audit) -> None:
    for seed in done.seeds:
        names = {result.name for result in seed.attacks} | set(seed.not_run)
        assert names == {attack.name for attack in (*AUDIT_1, *PAPER, *REFERENCES)}
        assert set(seed.not_run) == {"lira"}  # two pairs leave one model a side


def test_it_names_the_records_that_it_used(done: Audit, kept: dict[int, Kept]) -> None:
    assert [seed.record for seed in done.seeds] == [kept[s].digest for s in SEEDS]
    assert [seed.references for seed in done.seeds] == [(44, 45), (44, 45), (42, 43), (42, 43)]
    assert [seed.job_key for seed in done.seeds] == [kept[s].record.job_key for s in SEEDS]


def test_its_numbers_are_those_of_the_model(done: Audit, kept: dict[int, Kept]) -> None:
    seed, outputs = done.seeds[0], kept[42].pool
    auc = next(result.auc for result in seed.attacks if result.name == "top-one")
    assert auc.value == pytest.approx(membership_auc(confidence_order(outputs.logits), outputs.member))
    assert auc.low < auc.value < auc.high
    assert seed.audited_score == pytest.approx(0.8 - seed.largest_advantage)
    assert seed.generalization_gap == pytest.approx(seed.member_acc - seed.non_member_acc)
    assert sum(seed.confidence_histogram["members"]) == 150


def test_every_attack_has_its_curve_at_the_documents_rates(done: Audit) -> None:
    assert (done.fprs[0], done.fprs[-1]) == (pytest.approx(1 / 150), 1)
    for result in (result for seed in done.seeds for result in seed.attacks):
        assert (len(result.tprs), result.tprs[-1]) == (len(done.fprs), 1)
        assert list(result.tprs) == sorted(result.tprs)


def test_the_screen_shows_a_hostile_name_as_it_is(done: Audit) -> None:
    screen = io.StringIO()
    Console(file=screen, width=100).print(rich_audit(done))
    text = screen.getvalue()
    assert "[red]x" in text
    assert "failed, not scored" in text
    assert "members 0" in text
    assert all(attack.name.removeprefix("paper-") in text for attack in (*AUDIT_1, *PAPER))
    assert max(map(len, text.splitlines())) <= 100


def test_the_export_has_the_shapes_that_other_tools_want(kept: dict[int, Kept], tmp_path: Path) -> None:
    export_scores(tmp_path, kept, TEST_LABELS)
    signals = np.load(tmp_path / "privacy_meter" / "signals" / "rmia_signals.npy")
    memberships = np.load(tmp_path / "privacy_meter" / "models" / "memberships.npy")
    population = np.load(tmp_path / "privacy_meter" / "signals" / "rmia_signals_pop.npy")
    assert (signals.shape, memberships.shape, population.shape) == ((300, 4), (4, 300), (90, 4))
    outputs = kept[42].pool
    assert signals[:, 0] == pytest.approx(softmax(outputs.logits, axis=1)[np.arange(300), outputs.labels], abs=1e-6)
    assert (memberships[0] ^ memberships[1]).all()
    with np.load(tmp_path / "tensorflow_privacy" / "seed-42.npz") as archive:
        assert np.array_equal(archive["logits_train"], outputs.logits[outputs.member])
        assert np.array_equal(archive["labels_test"], outputs.labels[~outputs.member])
        assert set(archive.files) == {"logits_train", "logits_test", "labels_train", "labels_test"}


@pytest.mark.parametrize("fault", ["missing", "cut", "text", "shape", "nan", "array"])
def test_scores_that_cannot_be_used_are_said(kept: dict[int, Kept], tmp_path: Path, fault: str) -> None:
    outputs, path = kept[42].pool, tmp_path / "scores.npz"
    logits = outputs.logits.copy()
    if fault == "nan":
        logits[3, 2] = np.nan
    arrays = {"train_logits": logits, "test_logits": kept[42].trained.test_logits, "member": outputs.member}
    if fault == "array":
        del arrays["member"]
    np.savez(path, **arrays)
    if fault == "missing":
        path.unlink()
    elif fault == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif fault == "text":
        path.write_text("nothing")
    labels = outputs.labels[: -1 if fault == "shape" else None]
    with pytest.raises(UserError, match="cannot be audited"):
        read_scores(tmp_path, labels, TEST_LABELS, 10)


def test_a_curve_is_read_and_one_that_is_missing_is_empty(tmp_path: Path) -> None:
    assert read_curve(tmp_path) == ()
    (tmp_path / "curve.csv").write_text("epoch,mia_auc\n0,0.51\n1,0.52\n")
    assert read_curve(tmp_path) == (0.51, 0.52)


@pytest.mark.parametrize("text", ['0,"' + "x" * 200_000 + '"', "0,\x00", "0," + "1" * (1 << 24)])
def test_a_curve_that_is_none_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "curve.csv").write_text(f"epoch,mia_auc\n{text}\n")
    assert read_curve(tmp_path) == ()


def test_nobody_waits_for_a_curve_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "curve.csv")
    assert read_curve(tmp_path) == ()
