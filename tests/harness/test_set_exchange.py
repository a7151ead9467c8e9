"""A step with mixing and validation examples is plain autograd through one graph: mixed images, three forward passes,
one step of SGD; and nothing but the members' passes touches the model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlsbench import UserError
from mlsbench.harness.exchange import CollapsedError, LossExchange
from mlsbench.harness.images import PADDING, Draw, Images
from mlsbench.harness.mixing import METHOD as MIX
from mlsbench.harness.mixing import Mixture, mixed
from mlsbench.harness.models import build, initialize
from mlsbench.harness.oracle import METHOD, Answer, Oracle
from mlsbench.harness.references import References
from mlsbench.harness.session import open_session, wire_method
from mlsbench.harness.set_exchange import SetExchange
from mlsbench.harness.split import reference_seed, run_seeds
from mlsbench.harness.step import MOMENTUM, EagerStep
from mlsbench.harness.trainer import train
from mlsbench.sandbox.worker import SEED
from mlsbench.tasks import Training, baseline_path, get_task

TASK = get_task("security-membership-inference-set-defense")
CPU = torch.device("cpu")
TRAINING = Training(epochs=2, lr=0.05, weight_decay=5e-4, batch=16, augment=True)
SEEDS = run_seeds(b"public", 42)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def data(count: int, seed: int) -> tuple[Images, Tensor]:
    random = np.random.default_rng(seed)
    raw = torch.from_numpy(random.integers(0, 256, (count, 16, 16, 1), dtype=np.uint8))
    labels = torch.from_numpy(np.r_[np.arange(10), random.integers(0, 10, count - 10)])
    return Images(raw, [0.5], [0.25], CPU), labels


def resnet() -> nn.Module:
    model = build("resnet20", 10, (16, 16, 1))
    initialize(model, SEEDS.init)
    return model.to(memory_format=torch.channels_last).train()


def swapping(labels: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
    """A mixture in which each example has another weight, two of them the extreme ones."""
    return torch.arange(len(labels)).flip(0), torch.linspace(0, 1, len(labels))


def compared(
    logits: Tensor, targets: Tensor, member_logits: Tensor, reference_logits: Tensor, reference_labels: Tensor
) -> Tensor:
    """A loss that uses every array."""
    rows = torch.arange(len(reference_labels))
    distance = (member_logits.softmax(1) - reference_logits.softmax(1)).square().sum()
    return F.cross_entropy(logits, targets) + 0.3 * distance + 0.1 * member_logits[rows, reference_labels].mean()


def answering(seen: list[dict[str, Tensor]]) -> Callable[..., Answer]:
    """`compared` as the oracle would answer it, from copies that are kept in `seen`."""

    def loss(epoch: int, labels: Tensor, **arrays: Tensor) -> Answer:
        seen.append({name: values.clone() for name, values in arrays.items()})
        leaves = {name: arrays[name].clone().requires_grad_() for name in ("logits", "member_logits")}
        value = compared(**(arrays | leaves))
        value.backward()
        gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
        return Answer(value.item(), gradients, 1.0, True)

    return loss


def exchange(model: nn.Module, seen: list[dict[str, Tensor]], mixture: object = swapping) -> SetExchange:
    images, _ = data(16, 1)
    references = References(*data(30, 2), torch.arange(10), 5)
    step = EagerStep(model, images, TRAINING, bf16=False)
    return SetExchange(model, step, images, mixture, references, answering(seen))  # type: ignore[arg-type]


def a_draw() -> tuple[Draw, Tensor]:
    random = torch.Generator().manual_seed(3)
    order = torch.randperm(16, generator=random)
    shift = torch.randint(2 * PADDING + 1, (16, 2), generator=random)
    draw = Draw(order, shift, torch.randint(2, (16,), generator=random) == 1)
    return draw, data(16, 1)[1][order]


def test_images_and_targets_are_mixed_by_the_formula_after_augmentation_and_normalization() -> None:
    model, seen = resnet(), list[dict[str, Tensor]]()
    entered: list[Tensor] = []
    model.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0].clone()))
    draw, labels = a_draw()
    exchange(model, seen)(draw, labels, 0)
    plain = data(16, 1)[0].batch(draw)
    partners, weights = swapping(labels, 0)
    for i in range(16):
        w, j = weights[i].item(), int(partners[i])
        torch.testing.assert_close(entered[0][i], w * plain[i] + (1 - w) * plain[j], rtol=1e-6, atol=1e-6)
        expected = torch.zeros(10)
        expected[labels[i]] += w
        expected[labels[j]] += 1 - w
        torch.testing.assert_close(seen[0]["targets"][i], expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(entered[1], plain)


@pytest.mark.parametrize("mixes", [True, False])
def test_a_step_is_that_of_autograd_through_one_graph(mixes: bool) -> None:
    model, seen = resnet(), list[dict[str, Tensor]]()
    other = copy.deepcopy(model)
    draw, labels = a_draw()
    exchange(model, seen, swapping if mixes else None)(draw, labels, 0)

    images, targets = data(16, 1)[0].batch(draw), F.one_hot(labels, 10).float()
    if mixes:
        partners, weights = swapping(labels, 0)
        logits = other(mixed(images, partners, weights))
        targets, member_logits = mixed(targets, partners, weights), other(images)
    else:
        logits = member_logits = other(images)
    compared(logits, targets, member_logits, seen[0]["reference_logits"], labels).backward()
    torch.optim.SGD(other.parameters(), lr=TRAINING.lr, momentum=MOMENTUM, weight_decay=TRAINING.weight_decay).step()
    for mine, theirs in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


def test_references_are_of_the_members_classes_in_order_and_seen_in_evaluation_mode() -> None:
    model, seen = resnet(), list[dict[str, Tensor]]()
    other = copy.deepcopy(model)
    draw, labels = a_draw()
    exchange(model, seen)(draw, labels, 0)
    assert torch.equal(seen[0]["reference_labels"], labels)
    images, own = References(*data(30, 2), torch.arange(10), 5).draw(labels)
    assert torch.equal(own, labels)
    with torch.no_grad():
        partners, weights = swapping(labels, 0)
        members = data(16, 1)[0].batch(draw)
        other(mixed(members, partners, weights))
        other(members)  # the running statistics as both passes in training mode leave them
        torch.testing.assert_close(seen[0]["reference_logits"], other.eval()(images))
    assert model.training


def test_references_touch_neither_running_statistics_nor_weights() -> None:
    states = []
    for seed in (2, 4):  # other validation examples
        model, draws = resnet(), a_draw()
        images, _ = data(16, 1)
        references = References(*data(30, seed), torch.arange(10), 5)

        def loss(epoch: int, labels: Tensor, **arrays: Tensor) -> Answer:
            zeros = torch.zeros_like(arrays["logits"])
            return Answer(0.0, {"logits": arrays["logits"].softmax(1), "member_logits": zeros}, 1.0, True)

        step = EagerStep(model, images, TRAINING, bf16=False)
        SetExchange(model, step, images, swapping, references, loss)(*draws, 0)  # type: ignore[arg-type]
        states.append(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_references_are_drawn_anew_and_evenly_from_their_class_by_the_seed_alone() -> None:
    images, labels = data(60, 7)
    wanted = torch.full((3000,), 4)
    first, second = (References(images, labels, wanted, 1).draw(wanted)[0] for _ in range(2))
    assert torch.equal(first, second)
    own = images.plain(torch.nonzero(labels == 4)[:, 0])
    hits = (first[:, None] == own).flatten(2).all(2)
    assert hits.any(1).all()
    share = hits.float().mean(0)
    assert len(own) > 3
    assert (share - 1 / len(own)).abs().max() < 5 * (0.25 / 3000) ** 0.5


def test_a_class_without_validation_examples_is_a_mistake_that_says_so() -> None:
    images, labels = data(30, 2)
    with pytest.raises(UserError, match="no validation example is of class 10: take more members"):
        References(images, labels, torch.tensor([3, 10]), 1)


@pytest.mark.parametrize("broken", ["members", "references"])
def test_logits_that_are_not_finite_collapse_whoever_s_they_are(broken: str) -> None:
    model = resnet()
    if broken == "members":
        model.head.bias.data.fill_(float("inf"))  # type: ignore[union-attr,operator]
    else:  # the statistics of evaluation mode alone
        next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)).running_mean.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(CollapsedError, match="in epoch 3"):
        exchange(model, [])(*a_draw(), 3)


def trained(text: str, sandbox: str, folder: Path) -> dict[str, Tensor]:
    """The weights that the baseline `text` gives two epochs of a small ResNet, in a session of `sandbox`."""
    model, (images, labels) = resnet(), data(40, 1)
    torch.manual_seed(SEED)  # as a worker does, which otherwise has random numbers of its own
    with open_session(TASK.spec, sandbox, folder / "log") as session:
        session.load(text)
        mixture, oracle = (kind(session, wire_method(TASK.spec, m)) for kind, m in ((Mixture, MIX), (Oracle, METHOD)))
        references = References(*data(30, 2), labels, reference_seed(b"public", 42))
        step = EagerStep(model, images, TRAINING, bf16=False)
        way = SetExchange(model, step, images, mixture, references, oracle)  # type: ignore[arg-type]
        for _ in train(model, way, images, labels, TRAINING, SEEDS):
            pass
        session.finish()
    return model.state_dict()


def test_through_a_worker_the_weights_are_those_of_training_in_this_process(tmp_path: Path) -> None:
    text = baseline_path(TASK.spec.id, "mmd_mixup").read_text()
    here, there = (trained(text, sandbox, tmp_path) for sandbox in ("inprocess", "process"))
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_without_a_defense_the_weights_are_those_of_cross_entropy_as_in_the_first_task(tmp_path: Path) -> None:
    found = trained(baseline_path(TASK.spec.id, "none").read_text(), "inprocess", tmp_path)
    model, (images, labels) = resnet(), data(40, 1)

    def erm(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        leaf = logits.clone().requires_grad_()
        F.cross_entropy(leaf, labels).backward()
        assert leaf.grad is not None
        return Answer(0.0, {"logits": leaf.grad}, 1.0, True)

    way = LossExchange(EagerStep(model, images, TRAINING, False), erm)
    for _ in train(model, way, images, labels, TRAINING, SEEDS):
        pass
    for name, expected in model.state_dict().items():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-5)
