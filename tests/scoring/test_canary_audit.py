"""Canaries are attacked alone: no other number is about them, and what is kept of them is checked before it is used."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attack_arrays import changed, model, trained
from rich.console import Console

from mlsbench import UserError
from mlsbench.scoring import Record, membership_metrics, verify
from mlsbench.scoring.attacks import Outputs, Scores
from mlsbench.scoring.audit import Kept, audit_entry
from mlsbench.scoring.audit_document import Audit
from mlsbench.scoring.audit_rich import rich_audit
from mlsbench.scoring.canaries import attack_canaries, canary_numbers
from mlsbench.scoring.kept import read_scores
from mlsbench.scoring.membership import membership_auc
from mlsbench.scoring.trained import from_kept
from mlsbench.scoring.verification import Run

EXAMPLES = 1200
LABELS = model((4, 1), (4, 1), examples=EXAMPLES).labels
CANARY = np.random.default_rng(5).permutation(EXAMPLES) < 500
TRAINED = np.where(CANARY, (LABELS + 3) % 10, LABELS)
SEEDS = (42, 43, 44, 45)


def outputs(seed: int = 42) -> Outputs:
    """A model that leaks nothing of honest examples and has learned the wrong labels of its canaries by heart."""
    plain = changed(model((4, 1), (4, 1), examples=EXAMPLES, seed=seed), labels=TRAINED)
    logits = plain.logits.copy()
    learned = CANARY & plain.member
    logits[learned, TRAINED[learned]] = logits[learned].max(axis=1) + 3
    return changed(plain, logits=logits)


@pytest.fixture
def kept(make_record: Callable[..., Record]) -> dict[int, Kept]:
    return {s: Kept(make_record(seed=s), f"{s:064x}", trained(outputs(s), true_labels=LABELS)) for s in SEEDS}


@pytest.fixture
def done(kept: dict[int, Kept]) -> Audit:
    return audit_entry(kept)


def test_the_records_number_is_the_auc_of_the_wrong_labels_log_odds() -> None:
    found, target = canary_numbers(outputs(), CANARY), outputs().take(np.flatnonzero(CANARY))
    assert found["canary_auc"] == pytest.approx(membership_auc(target.scaled_logit, target.member))
    assert found["canary_auc_low"] < found["canary_auc"] <= found["canary_auc_high"]  # type: ignore[operator]


def test_without_canaries_there_is_no_number_and_with_one_kind_alone_it_is_null() -> None:
    assert canary_numbers(outputs(), np.zeros(EXAMPLES, np.bool_)) == {}
    only = outputs().member & CANARY
    assert canary_numbers(outputs(), only) == dict.fromkeys(("canary_auc", "canary_auc_low", "canary_auc_high"))
    assert attack_canaries(outputs().take(np.flatnonzero(only))) == ()


def test_the_average_hides_what_canaries_show(done: Audit) -> None:
    for seed in done.seeds:
        assert seed.largest_advantage < 2 * seed.chance_high
        assert seed.canaries is not None
        by_name = {attack.name: attack for attack in seed.canaries.attacks}
        assert by_name["loss"].auc.value > 0.95
        assert "density-ratio" not in by_name
        rate = by_name["loss"].tpr_at_5_percent_fpr
        assert rate is not None
        assert rate.low < rate.value
        assert by_name["loss"].tpr_at_1_percent_fpr is None  # two false positives in 250


def test_canaries_are_counted_and_no_attack_on_the_others_scores_them(done: Audit) -> None:
    for seed in done.seeds:
        assert seed.canaries is not None
        assert seed.canaries.members + seed.canaries.non_members == 500
        assert {attack.scored for attack in seed.attacks} == {700}


def test_exposed_examples_are_named_by_their_place_in_the_whole_pool(done: Audit, kept: dict[int, Kept]) -> None:
    assert done.exposure is not None
    index, effect = done.exposure.examples[0]
    assert not CANARY[index]
    odds = {seed: one.pool.scaled_logit[index] * (1 if one.pool.member[index] else -1) for seed, one in kept.items()}
    assert effect == pytest.approx(sum(odds.values()) / 2)


def test_white_box_scores_of_canaries_are_left_out(kept: dict[int, Kept], make_record: Callable[..., Record]) -> None:
    scored = np.arange(EXAMPLES) < 1000
    scores = Scores(np.where(CANARY, 9.0, kept[42].pool.member), scored)
    one = replace(kept[42], white_box={"grad": scores})
    found = next(r for r in audit_entry({42: one}).seeds[0].attacks if r.panel == "white-box")
    assert (found.scored, found.auc.value) == ((scored & ~CANARY).sum(), 1.0)


def test_the_screen_has_a_table_of_them_only_where_they_are(done: Audit, kept: dict[int, Kept]) -> None:
    def text(audit: Audit) -> str:
        screen = io.StringIO()
        Console(file=screen, width=100).print(rich_audit(audit))
        return screen.getvalue()

    assert "on the canaries alone" in text(done)
    plain = {s: replace(one, trained=trained(one.pool)) for s, one in kept.items()}
    assert "canaries" not in text(audit_entry(plain))


def test_the_document_reads_back_as_it_was(done: Audit) -> None:
    assert Audit.model_validate_json(done.model_dump_json()) == done


def write(folder: Path, **arrays: Any) -> None:
    made = outputs()
    own = {"train_logits": made.logits, "test_logits": made.logits[:5], "member": made.member}
    np.savez(folder / "scores.npz", **{**own, "labels": TRAINED, **arrays})


def test_the_labels_are_those_that_were_trained(tmp_path: Path) -> None:
    write(tmp_path)
    found = read_scores(tmp_path, LABELS, LABELS[:5], 10)
    np.testing.assert_array_equal(found.labels, TRAINED)
    np.testing.assert_array_equal(found.mislabelled, CANARY)


@pytest.mark.parametrize(
    "arrays",
    [
        {"labels": TRAINED[:-1]}, {"labels": TRAINED.astype(float)}, {"labels": np.where(CANARY, 10, LABELS)},
        {"labels": np.where(CANARY, -1, LABELS)}, {"validation": CANARY}, {"validation": CANARY[:-1]},
        {"validation": ~CANARY},
    ],
)  # fmt: skip
def test_impossible_labels_and_validation_examples_are_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    write(tmp_path, **arrays)
    with pytest.raises(UserError, match="cannot be audited"):
        read_scores(tmp_path, LABELS, LABELS[:5], 10)


def measure(kept: Mapping[str, Any]) -> dict[str, float]:
    one = from_kept(kept, LABELS, LABELS[:300])
    return membership_metrics(one.pool_logits[one.honest], one.member[one.honest], one.test_logits, one.test_labels)


def run(make_record: Callable[..., Record], **arrays: Any) -> Run:
    made = outputs()
    scores = {"train_logits": made.logits, "test_logits": made.logits[:300], "member": made.member, "labels": TRAINED}
    metrics = membership_metrics(made.logits[~CANARY], made.member[~CANARY], made.logits[:300], LABELS[:300])
    return Run(make_record(metrics=metrics), {**scores, **arrays}, None)


def test_a_true_record_with_canaries_verifies(make_record: Callable[..., Record]) -> None:
    assert verify(run(make_record), run(make_record), measure).faults == ()


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        ({"labels": LABELS}, "the wrong labels are not"), ({"labels": np.roll(TRAINED, 1)}, "the wrong labels are not"),
        ({"validation": CANARY}, "the validation examples are not"),
    ],
)  # fmt: skip
def test_other_canaries_than_the_keys_are_a_fault(
    make_record: Callable[..., Record], array: dict[str, Any], fault: str
) -> None:
    faults = verify(run(make_record, **array), run(make_record), measure).faults
    assert any(fault in text for text in faults)
