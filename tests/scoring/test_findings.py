"""What games the score is found by the right rule, and honest losses are not flagged.

Honest ones are trained for real, on two small problems that their networks learn by heart. Of every kind of gaming
there are two; the second had no part in setting the rules' thresholds.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from attack_arrays import changed, untrained
from gaming_models import BASELINES, GAMING, trained
from gaming_outputs import KINDS, RISING

from mlsbench.scoring.attacks import Outputs, Target
from mlsbench.scoring.findings import Finding, findings, ties
from mlsbench.scoring.panel import Panel, audit_1
from mlsbench.tasks import get_task, read_submission

TASK = "security-membership-inference-defense"
HONEST = sorted(path for path in BASELINES.glob("*.py") if path.stem != "__init__")
LOSSES = sorted(GAMING.glob("*.py"))


@cache
def panel_of(outputs: Outputs) -> Panel:
    return audit_1(Target(outputs))


@cache
def gaming(kind: str, which: int) -> tuple[Outputs, tuple[float, ...]]:
    return KINDS[kind][which](0)


def found(outputs: Outputs, curve: tuple[float, ...] = ()) -> list[Finding]:
    panel = panel_of(outputs)
    return findings(panel.aucs, panel.chance.deviations[0], outputs, curve)


@pytest.mark.parametrize("which", [0, 1], ids=["set", "kept-out"])
@pytest.mark.parametrize("kind", KINDS)
def test_gaming_is_found_by_its_rule(kind: str, which: int) -> None:
    outputs, curve = gaming(kind, which)
    assert kind in {one.kind for one in found(outputs, curve)}


@pytest.mark.parametrize("which", [0, 1], ids=["set", "kept-out"])
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "saturated"])
def test_gaming_costs_nothing_in_the_score_that_it_games(kind: str, which: int) -> None:
    outputs, _ = gaming(kind, which)
    panel = panel_of(outputs)
    charged = max(panel.aucs["top-one"] - 0.5, 0)
    assert charged < 0.05
    assert panel.largest > charged + 0.05


@pytest.mark.parametrize("hard", [False, True], ids=["half-right", "mostly-right"])
@pytest.mark.parametrize("path", HONEST, ids=lambda p: p.stem)
def test_an_honest_loss_is_not_flagged(path: object, hard: bool) -> None:
    net = trained(path, noise=1.2, width=256, epochs=30) if hard else trained(path)  # type: ignore[arg-type]
    assert found(net.model, net.curve) == []


def test_the_words_tell_what_an_attacker_gets() -> None:
    outputs, _ = gaming("inverted", 0)
    auc = panel_of(outputs).aucs["top-one"]
    (text,) = (one.text for one in found(outputs) if one.kind == "inverted")
    assert text == (
        f"members are less confident than non-members: an attacker flips the sign and gets an AUC of {1 - auc:.2f}"
    )


def test_an_untrained_net_has_no_finding() -> None:
    assert all(found(untrained(400, seed=seed)) == [] for seed in (0, 2, 4))


def test_a_constant_confidence_is_all_ties() -> None:
    outputs = untrained(400)
    constant = changed(outputs, logits=np.eye(10, dtype=np.float32)[outputs.labels] * 5)
    assert ties(constant.logits.max(axis=1)) == 1
    assert "saturated" in {one.kind for one in found(constant)}


@pytest.mark.parametrize("end", [RISING[-1], 0.66, 0.61])
def test_a_curve_that_goes_on_is_no_late_change(end: float) -> None:
    assert found(untrained(400), (*RISING, end)) == []


def test_a_curve_that_always_jumped_is_no_late_change() -> None:
    assert found(untrained(400), tuple(0.55 + 0.05 * (-1) ** i for i in range(21))) == []


@pytest.mark.parametrize("path", LOSSES, ids=lambda p: p.stem)
def test_a_gaming_loss_is_a_submission_that_trains(path: object) -> None:
    text = read_submission(path, get_task(TASK)).text  # type: ignore[arg-type]
    names: dict[str, object] = {}
    exec(text, names)
    for epoch in (0, 19):
        logits = torch.randn(32, 10, generator=torch.Generator().manual_seed(0), requires_grad=True)
        labels = torch.arange(32) % 10
        names["MembershipDefense"]().compute_loss(logits, labels, epoch).backward()  # type: ignore[operator]
        assert logits.grad is not None
        assert logits.grad.isfinite().all()
        assert logits.grad.abs().sum() > 0


def test_there_are_two_losses_of_each_kind() -> None:
    kinds = [path.stem.partition("_by_")[0].partition("late_")[0] or "late" for path in LOSSES]
    assert sorted(kinds) == sorted(2 * ["inverted", "pinned", "label_blind", "saturated", "late"])
