"""Training with the oracle's gradients gives the weights of training with the same loss in the trainer's own process,
bit for bit, whatever stands between."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mlsbench.harness.data import enlarge, load
from mlsbench.harness.exchange import Loss, LossExchange
from mlsbench.harness.images import Images
from mlsbench.harness.models import build, initialize
from mlsbench.harness.oracle import METHOD, Answer, Oracle
from mlsbench.harness.session import open_session, wire_method
from mlsbench.harness.split import run_seeds
from mlsbench.harness.step import EagerStep
from mlsbench.harness.trainer import train
from mlsbench.sandbox.choose import BACKENDS
from mlsbench.sandbox.worker import SEED
from mlsbench.tasks import baseline_path, get_task

TASK = get_task("security-membership-inference-defense")
STATEFUL = """
import torch
import torch.nn.functional as F

class MembershipDefense:
    def __init__(self):
        self.temper = torch.nn.Linear(10, 1)
        self.own = torch.optim.Adam(self.temper.parameters(), lr=0.01)
        self.level, self.noise = 0.0, torch.Generator().manual_seed(1)

    def compute_loss(self, logits, labels, epoch):
        scale = F.softplus(self.temper(logits.detach()))
        self.own.zero_grad()
        F.cross_entropy(logits.detach() * scale, labels).backward()
        self.own.step()
        loss = F.cross_entropy(logits * scale.detach(), labels, reduction="none")
        self.level = 0.9 * self.level + 0.1 * loss.mean().item()
        kept = torch.rand(len(loss), generator=self.noise) < 0.9
        kept |= torch.rand(len(loss)) < 0.1
        return (loss - self.level).abs()[kept].sum() / len(loss)
"""
LOSSES = {
    "cross-entropy": baseline_path(TASK.spec.id, "erm").read_text(),
    # At a level that so short a training reaches; above it the loss is cross-entropy.
    "RelaxLoss": baseline_path(TASK.spec.id, "relaxloss").read_text().replace("{10: 1.0", "{10: 2.2"),
    "own parameters": STATEFUL,
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def direct(text: str) -> Loss:
    """The loss of `text` in this process, written out: no oracle, no session, no worker."""
    space: dict[str, object] = {"__name__": "loss"}
    torch.manual_seed(SEED)
    exec(text, space)
    candidate = space["MembershipDefense"]()  # type: ignore[operator]

    def loss(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        leaf = logits.clone().requires_grad_()
        value = candidate.compute_loss(leaf, labels.clone(), epoch)
        value.backward()
        assert leaf.grad is not None
        return Answer(value.item(), {"logits": leaf.grad}, leaf.grad.norm().item(), True)

    return loss


def weights(loss: Loss) -> dict[str, Tensor]:
    """The weights of a small ResNet after three epochs on 100 digits, with a last batch that is smaller."""
    digits = TASK.spec.datasets["digits"]
    data = load("digits", digits, Path())
    chosen = np.arange(100)
    pixels = torch.from_numpy(enlarge(data.train_images[chosen], 16))
    images = Images(pixels, digits.mean, digits.std, torch.device("cpu"))
    model = build("resnet20", 10, (16, 16, 1))
    seeds = run_seeds(b"public", 42)
    initialize(model, seeds.init)
    training = TASK.spec.training("smoke", "resnet20-digits").model_copy(update={"epochs": 3})
    step = EagerStep(model, images, training, bf16=False)
    labels = torch.from_numpy(data.train_labels[chosen])
    for _ in train(model, LossExchange(step, loss), images, labels, training, seeds):
        pass
    return model.state_dict()


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, Tensor]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = {name: weights(direct(text)) for name, text in LOSSES.items()}
    torch.set_num_threads(threads)
    return found


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("sandbox", ["process", pytest.param("bubblewrap", marks=pytest.mark.slow)])
def test_the_weights_are_those_of_training_in_one_process(
    name: str, sandbox: str, expected: dict[str, dict[str, Tensor]], tmp_path: Path
) -> None:
    backend = next(b for b in BACKENDS if b.name == sandbox)
    if sandbox == "bubblewrap" and (shutil.which("bwrap") is None or backend.unavailable()):
        pytest.skip("bubblewrap does not work here")
    with open_session(TASK.spec, sandbox, tmp_path / "log", LOSSES[name]) as session:
        session.load(LOSSES[name])
        got = weights(Oracle(session, wire_method(TASK.spec, METHOD)))
        session.finish()
    assert got.keys() == expected[name].keys()
    assert all(torch.equal(got[key], expected[name][key]) for key in got)


def test_the_three_losses_do_train_three_different_models(expected: dict[str, dict[str, Tensor]]) -> None:
    last = {name: list(found.values())[-1] for name, found in expected.items()}
    assert not torch.equal(last["cross-entropy"], last["RelaxLoss"])
    assert not torch.equal(last["cross-entropy"], last["own parameters"])
