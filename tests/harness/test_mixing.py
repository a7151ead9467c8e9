"""What a candidate says about mixing is checked as anything that it says: numbers from a worker may be any."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mlsbench.harness.mixing import METHOD, Mixture, mixed, unmixed
from mlsbench.harness.probe import probe
from mlsbench.harness.session import open_session, wire_method
from mlsbench.sandbox.channel import CandidateError
from mlsbench.tasks import get_task

SPEC = get_task("security-membership-inference-set-defense").spec
FORM = """
import torch
import torch.nn.functional as F

class SetDefense:
    def mix(self, labels, epoch):
        n = len(labels)
        return {}

    def compute_loss(self, logits, targets, member_logits, reference_logits, reference_labels, epoch):
        return {}
"""
PLAIN, CROSS_ENTROPY = "torch.arange(n), torch.ones(n)", "F.cross_entropy(logits, targets)"
OUTSIDE = r"mix returned partners that are not all from 0 to 127"
WRONG_WEIGHTS = "mix returned weights that are not all from 0 to 1"


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("torch.arange(n) + 1, torch.ones(n)", OUTSIDE),
        ("torch.arange(n) - 1, torch.ones(n)", OUTSIDE),
        ("torch.full((n,), 2**62), torch.ones(n)", OUTSIDE),
        ("torch.full((n,), -(2**63)), torch.ones(n)", OUTSIDE),
        ("torch.arange(n), torch.full((n,), float('nan'))", WRONG_WEIGHTS),
        ("torch.arange(n), torch.full((n,), float('inf'))", WRONG_WEIGHTS),
        ("torch.arange(n), torch.full((n,), -1e-6)", WRONG_WEIGHTS),
        ("torch.arange(n), torch.full((n,), 1 + 1e-6)", WRONG_WEIGHTS),
        ("torch.arange(n), torch.full((n,), 3e38)", WRONG_WEIGHTS),
        ("torch.arange(n), torch.full((n,), 1e300, dtype=torch.float64)", WRONG_WEIGHTS),
        ("torch.arange(n).float(), torch.ones(n)", "mix must return .* not one of torch.float32"),
        ("torch.arange(n), torch.ones(n).long()", "mix must return .* not one of torch.int64"),
        ("torch.arange(n), torch.ones(n).bool()", "mix must return .* not one of torch.bool"),
        ("torch.arange(n), torch.ones(n, dtype=torch.complex64)", "mix must return"),
        ("torch.arange(n), torch.ones(n, 1)", "mix must return one real 1-dimensional tensor"),
        ("torch.arange(n), torch.ones(n + 1)", "mix must return .* not one of shape"),
        ("torch.arange(n - 1), torch.ones(n)", "mix must return .* not one of shape"),
        ("torch.arange(n), torch.ones(1)", "mix must return .* not one of shape"),
        ("torch.arange(n), torch.ones(n).to_sparse()", "mix must return"),
        ("torch.arange(n), [1.0] * n", "mix must return .* not a value of type list"),
        ("torch.arange(n),", "mix returned 1 values instead of 2"),
        ("torch.arange(n), torch.ones(n), 0", "mix returned 3 values instead of 2"),
        ("None", r"mix must return a tuple \(partners, weights\), not one NoneType"),
    ],
)
def test_a_mixture_that_is_none_is_refused_by_its_name(returned: str, reason: str, tmp_path: Path) -> None:
    with (
        open_session(SPEC, "inprocess", tmp_path / "log") as session,
        pytest.raises(CandidateError, match=reason),
    ):
        probe(session, FORM.format(returned, CROSS_ENTROPY), SPEC, 10, 100)


@pytest.mark.parametrize(
    ("returned", "value"),
    [(f"torch.full((n,), {bad}), torch.ones(n)", OUTSIDE) for bad in (128, -1, 2**62)]
    + [(f"torch.arange(n), torch.full((n,), {bad})", WRONG_WEIGHTS) for bad in ("float('nan')", "2.0", "-0.5")],
)
@pytest.mark.slow
def test_a_worker_s_reply_is_checked_here_and_not_there(returned: str, value: str, tmp_path: Path) -> None:
    """A candidate that took the worker's own checks away answers as it likes."""
    free = "\nimport sys\nsys.modules['mlsbench.sandbox.candidate']._check = lambda *a: None\n"
    with open_session(SPEC, "process", tmp_path / "log") as session, pytest.raises(CandidateError, match=value):
        probe(session, FORM.format(returned, CROSS_ENTROPY) + free, SPEC, 10, 100)


def test_the_extremes_are_legal(tmp_path: Path) -> None:
    with open_session(SPEC, "inprocess", tmp_path / "log") as session:
        session.load(FORM.format("torch.zeros(n).long(), (torch.arange(n) % 2).double()", CROSS_ENTROPY))
        partners, weights = Mixture(session, wire_method(SPEC, METHOD))(torch.arange(6), 0)
    assert partners.tolist() == [0] * 6
    assert weights.tolist() == [0, 1] * 3


@pytest.mark.parametrize(
    ("loss", "accepted"),
    [
        (CROSS_ENTROPY, True),
        ("F.cross_entropy(member_logits, reference_labels)", True),
        ("(member_logits - reference_logits).square().mean() + logits.mean()", True),
        ("reference_logits.sum().requires_grad_()", False),
        ("targets.sum() * 1.0", False),
        ("(logits.detach() + member_logits.detach()).sum()", False),
    ],
)
def test_a_loss_must_depend_on_the_mixed_or_on_the_plain_members(loss: str, accepted: bool, tmp_path: Path) -> None:
    with open_session(SPEC, "inprocess", tmp_path / "log") as session:
        if accepted:
            probe(session, FORM.format(PLAIN, loss), SPEC, 10, 100)
        else:
            with pytest.raises(CandidateError, match="does not depend on the logits"):
                probe(session, FORM.format(PLAIN, loss), SPEC, 10, 100)


def test_mixing_with_nobody_gives_the_same_bits() -> None:
    values = torch.randn(7, 3, 4, 4)
    assert torch.equal(mixed(values, *unmixed(7)), values)


def test_the_weight_is_one_s_own_share() -> None:
    found = mixed(torch.tensor([[1.0], [10.0], [100.0]]), torch.tensor([1, 2, 0]), torch.tensor([1.0, 0.75, 0.0]))
    assert found.flatten().tolist() == [1.0, 32.5, 1.0]
