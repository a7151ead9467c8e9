"""A second run tells whether a record is true: to the bit on the same kind of machine, within a tolerance elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlsbench.scoring import Record, membership_metrics, read_run, verify, write_record
from mlsbench.scoring.verification import TOLERANCE, Run

RNG = np.random.default_rng(0)
TRAIN, TEST, LABELS = RNG.normal(size=(40, 4)), RNG.normal(size=(30, 4)), RNG.integers(0, 4, 30)
MEMBER = np.arange(40) % 2 == 0
MACHINE = {"platform": "Linux", "device": "x86_64", "threads": 2, "deterministic": 0}


def measure(kept: Mapping[str, Any]) -> dict[str, float]:
    return membership_metrics(kept["train_logits"], kept["member"], kept["test_logits"], LABELS)


@pytest.fixture
def run(make_record: Callable[..., Record]) -> Callable[..., Run]:
    """A run of a sound record; `seen` is its environment, `shift` moves the logits, and `changes` the record."""

    def make(shift: float = 0.0, seen: dict[str, Any] = MACHINE, **changes: Any) -> Run:
        scores = {"train_logits": TRAIN + shift * RNG.normal(size=TRAIN.shape), "test_logits": TEST, "member": MEMBER}
        metrics = membership_metrics(scores["train_logits"], MEMBER, TEST, LABELS)
        record = make_record(**{"metrics": metrics, **changes}).model_copy(update={"environment": seen})
        return Run(record, scores, b"weights")

    return make


def test_the_same_bits_are_the_same(run: Callable[..., Run]) -> None:
    found = verify(run(), run(), measure)
    assert (found.same, found.unlike, found.notes) == (True, (), ())


def test_an_edited_metric_is_found_on_the_same_kind_of_machine_however_small(run: Callable[..., Run]) -> None:
    true = run()
    edited = {**true.record.metrics, "mia_auc": float(true.record.metrics["mia_auc"] or 0) - 1e-12}
    found = verify(run(metrics=edited), true, measure)
    assert [fault.split(":")[0] for fault in found.faults] == ["mia_auc"]


def test_an_edited_metric_is_found_elsewhere_by_the_logits_beside_it(run: Callable[..., Run]) -> None:
    true = run(seen={**MACHINE, "threads": 8})
    edited = {**true.record.metrics, "mia_auc": float(true.record.metrics["mia_auc"] or 0) - 0.001}
    (fault,) = verify(run(metrics=edited), true, measure).faults
    assert "by the logits in scores.npz" in fault


def test_other_bits_elsewhere_are_the_same_within_the_tolerance(run: Callable[..., Run]) -> None:
    found = verify(run(), run(shift=0.001, seen={**MACHINE, "device": "aarch64"}), measure)
    assert found.same
    assert found.unlike == ("device x86_64 in the record, aarch64 here",)


def test_other_bits_on_the_same_kind_of_machine_differ(run: Callable[..., Run]) -> None:
    found = verify(run(), run(shift=1e-9), measure)
    assert any("other train logits" in fault for fault in found.faults)
    assert "processor" in found.notes[0]


def test_a_score_that_contradicts_its_own_record_is_found_without_logits(run: Callable[..., Run]) -> None:
    true = run(torch="9")
    edited = {**true.record.metrics, "privacy_score": float(true.record.metrics["privacy_score"] or 0) + 0.02}
    recorded = Run(run(metrics=edited).record, None, None)
    (fault,) = verify(recorded, true, measure).faults
    assert "by its own test_acc and mia_auc" in fault


@pytest.mark.parametrize(("distance", "same"), [(TOLERANCE - 0.001, True), (TOLERANCE + 0.001, False)])
def test_elsewhere_the_tolerance_decides(run: Callable[..., Run], distance: float, same: bool) -> None:
    recorded = run()
    far = {name: float(value or 0) + distance for name, value in recorded.record.metrics.items()}
    assert verify(recorded, run(metrics=far, torch="9"), measure).same == same


def test_another_status_differs_everywhere(run: Callable[..., Run]) -> None:
    found = verify(run(status="collapsed"), run(torch="9"), measure)
    assert found.faults[0] == "status: collapsed in the record, scored now"


def test_a_number_where_there_is_none_now_differs(run: Callable[..., Run]) -> None:
    true = run(torch="9")
    nothing = dict.fromkeys(true.record.metrics)
    assert "no number now" in verify(run(), run(metrics=nothing, torch="9"), measure).faults[0]


@pytest.mark.parametrize("status", ["scored", "collapsed"])
def test_an_array_that_is_not_kept_is_a_fault_whatever_metric_has_no_number(
    run: Callable[..., Run], status: str
) -> None:
    metrics = {**run().record.metrics, "privacy_score": None}
    true = run(metrics=metrics, torch="9", status=status)
    recorded = run(metrics=metrics, status=status)
    assert isinstance(recorded.scores, Mapping)
    less = {name: array for name, array in recorded.scores.items() if name != "test_logits"}
    faults = verify(Run(recorded.record, less, recorded.weights), true, measure).faults
    assert "scores.npz: there is no test_logits in it" in faults
    assert ("scores.npz: 'test_logits'" in faults) == (status == "scored")


def test_members_of_another_split_differ_everywhere(run: Callable[..., Run]) -> None:
    recorded, again = run(), run(torch="9")
    swapped = Run(again.record, {**(again.scores or {}), "member": ~MEMBER}, again.weights)  # type: ignore[dict-item]
    assert any("members" in fault for fault in verify(recorded, swapped, measure).faults)


@pytest.mark.parametrize("name", ["torch", "frozen", "precision", "device_kind"])
def test_what_decides_bits_and_differs_is_named(run: Callable[..., Run], name: str) -> None:
    other = {"torch": "9", "frozen": "0" * 64, "precision": "bf16", "device_kind": "cuda"}[name]
    words = {"frozen": "code", "device_kind": "device kind"}.get(name, name)
    assert verify(run(), run(**{name: other}), measure).unlike[0].startswith(f"{words} ")


@pytest.mark.parametrize("deterministic", [0, 1])
def test_a_gpus_bits_are_held_to_only_if_it_was_deterministic(run: Callable[..., Run], deterministic: int) -> None:
    seen = {**MACHINE, "deterministic": deterministic}
    found = verify(run(device_kind="cuda", seen=seen), run(device_kind="cuda", seen=seen), measure)
    assert bool(found.unlike) != bool(deterministic)


def test_other_weights_differ(run: Callable[..., Run]) -> None:
    true = run()
    found = verify(Run(true.record, true.scores, b"other"), true, measure)
    assert found.faults == ("weights.safetensors: other weights",)


def test_what_is_not_kept_is_said_and_not_compared(run: Callable[..., Run]) -> None:
    true = run()
    found = verify(Run(true.record, None, None), true, measure)
    assert (found.same, len(found.notes)) == (True, 2)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_scores_that_cannot_be_read_differ(run: Callable[..., Run], tmp_path: Path, content: bytes) -> None:
    true = run()
    write_record(tmp_path, true.record)
    (tmp_path / "scores.npz").write_bytes(content)
    assert any("cannot be read" in fault for fault in verify(read_run(tmp_path), true, measure).faults)
