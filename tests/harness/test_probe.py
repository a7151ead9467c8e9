"""The probe rejects what cannot be trained with, before anything is trained, and shows a candidate no run's data."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mlsbench.harness.probe import BATCHES, probe
from mlsbench.harness.session import open_session
from mlsbench.sandbox.channel import CandidateError
from mlsbench.tasks import get_task, read_submission

FOLDER = get_task("security-membership-inference-defense")
EXPLOITS = Path(__file__).parent.parent / "exploits"


def ask(text: str, folder: Path, sandbox: str = "inprocess", classes: int = 10, epochs: int = 100) -> None:
    with open_session(FOLDER.spec, sandbox, folder / "log", text) as session:
        probe(session, text, FOLDER.spec, classes, epochs)


@pytest.mark.parametrize("name", ["ignore_logits", "ignore_logits_detached"])
def test_a_loss_without_a_path_to_the_logits_is_refused(name: str, tmp_path: Path) -> None:
    text = read_submission(EXPLOITS / f"{name}.py", FOLDER).text
    with pytest.raises(CandidateError, match="does not depend on the logits"):
        ask(text, tmp_path, "process")


def test_a_file_that_breaks_the_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CandidateError, match="raised TypeError"):
        ask(read_submission(EXPLOITS / "break_the_contract.py", FOLDER).text, tmp_path)


def test_the_call_that_failed_is_named_with_its_arguments_and_sizes(tmp_path: Path) -> None:
    text = "class MembershipDefense:\n  def compute_loss(self, z, y):\n    return z.sum()\n"
    call = r"the call was compute_loss\(logits, labels, epoch\) with 128 examples, 17 classes, epoch 0$"
    with pytest.raises(CandidateError, match=f"raised TypeError: .*; {call}"):
        ask(text, tmp_path, classes=17)


def test_an_honest_file_passes(tmp_path: Path) -> None:
    ask(read_submission(EXPLOITS / "honest.py", FOLDER).text, tmp_path)


@pytest.mark.parametrize("epoch", [0, 99])
def test_the_first_and_the_last_epoch_are_asked_about(epoch: int, tmp_path: Path) -> None:
    text = f"class MembershipDefense:\n  def compute_loss(self, z, y, e):\n    return z.sum() * (1 / (e != {epoch}))\n"
    with pytest.raises(CandidateError, match="ZeroDivisionError"):
        ask(text, tmp_path)


@pytest.mark.parametrize("batch", BATCHES)
def test_each_size_of_batch_is_asked_about(batch: int, tmp_path: Path) -> None:
    loss = f"z.sum() * (1 / (len(y) != {batch}))"
    text = f"class MembershipDefense:\n  def compute_loss(self, z, y, e):\n    return {loss}\n"
    with pytest.raises(CandidateError, match="ZeroDivisionError"):
        ask(text, tmp_path)


def test_the_logits_have_the_benchmark_s_classes(tmp_path: Path) -> None:
    text = "class MembershipDefense:\n  def compute_loss(self, z, y, e):\n    assert z.shape[1] == 17; return z.sum()\n"
    ask(text, tmp_path, classes=17)


def test_a_zero_gradient_with_a_path_is_a_legal_loss(tmp_path: Path) -> None:
    text = "class MembershipDefense:\n  def compute_loss(self, z, y, e):\n    return 0 * z.sum()\n"
    ask(text, tmp_path)


def test_a_probe_says_the_same_whatever_random_numbers_its_caller_uses(tmp_path: Path) -> None:
    text = "class MembershipDefense:\n  def compute_loss(self, z, y, e):\n    raise ValueError(z.sum().item())\n"
    said = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        with pytest.raises(CandidateError) as error:
            ask(text, tmp_path)
        said.append(str(error.value))
    assert said[0] == said[1]


LAZY = """
import torch
from torch import optim

class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        scale = torch.nn.Parameter(torch.ones(()))
        (scale * logits.detach()).sum().backward()
        optim.Adam([scale], lr=0.01).step()
        row = logits.detach()[0]
        torch.func.hessian(lambda z: z.logsumexp(0))(row)
        torch.autograd.functional.hessian(lambda z: z.logsumexp(0), row, vectorize=True)
        return torch.utils.checkpoint.checkpoint(torch.sum, scale.detach() * logits, use_reentrant=False)
"""


def test_what_torch_loads_at_its_first_use_is_there_for_a_file_that_names_it(tmp_path: Path) -> None:
    ask(LAZY, tmp_path, "process")
    assert (tmp_path / "log").read_bytes() == b""  # and nothing warns of itself


def test_a_plain_loss_does_not_wait_for_torch_s_compiler(tmp_path: Path) -> None:
    loaded = "'torch._dynamo' in torch.sys.modules"
    text = (
        f"import torch\nclass MembershipDefense:\n  def compute_loss(self, z, y, e):\n    raise ValueError({loaded})\n"
    )
    with pytest.raises(CandidateError, match="ValueError: False"):
        ask(text, tmp_path, "process")
