"""Training is textbook SGD on the gradients that a loss answers with, and stops when the numbers are gone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlsbench.harness.exchange import CollapsedError, LossExchange
from mlsbench.harness.images import Draw, Images, epoch_draws
from mlsbench.harness.models import build, initialize
from mlsbench.harness.oracle import Answer
from mlsbench.harness.split import RunSeeds
from mlsbench.harness.step import MOMENTUM, EagerStep
from mlsbench.harness.trainer import EpochStats, learning_rate, predict
from mlsbench.harness.trainer import train as train_in_steps
from mlsbench.tasks import Training

SEEDS = RunSeeds(init=11, order=12, augment=13)
COSINE = Training(epochs=3, lr=0.1, weight_decay=5e-4, batch=16, augment=True)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def cross_entropy(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
    leaf = logits.clone().requires_grad_()
    loss = F.cross_entropy(leaf, labels)
    loss.backward()
    assert leaf.grad is not None
    return Answer(loss.item(), {"logits": leaf.grad}, leaf.grad.norm().item(), True)


def data(count: int = 40) -> tuple[Images, Tensor]:
    random = np.random.default_rng(1)
    raw = torch.from_numpy(random.integers(0, 256, (count, 16, 16, 1), dtype=np.uint8))
    labels = torch.from_numpy(random.integers(0, 10, count, dtype=np.int64))
    return Images(raw, [0.5], [0.25], torch.device("cpu")), labels


def resnet() -> nn.Module:
    model = build("resnet20", 10, (8, 8, 1))
    initialize(model, SEEDS.init)
    return model.to(memory_format=torch.channels_last)


def train(
    model: nn.Module, images: Images, labels: Tensor, training: Training, seeds: RunSeeds, loss: Callable[..., Answer],
    bf16: bool,
) -> Iterator[EpochStats]:  # fmt: skip
    step = EagerStep(model, images, training, bf16)
    return train_in_steps(model, LossExchange(step, loss), images, labels, training, seeds)


def trained(loss: Callable[..., Answer] = cross_entropy, training: Training = COSINE, **changes: Any) -> nn.Module:
    model = resnet()
    for _ in train(model, *data(), training.model_copy(update=changes), SEEDS, loss, bf16=False):
        pass
    return model


def textbook(training: Training) -> nn.Module:
    """The same training as anybody would write it: the loss in the graph, SGD by hand after Sutskever et al. 2013 in
    PyTorch's form, a rate from torch's own scheduler."""
    model, (images, labels) = resnet(), data()
    order, chance = (torch.Generator().manual_seed(s) for s in (SEEDS.order, SEEDS.augment))
    dummy = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=training.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(dummy, training.epochs)
    momenta: list[Tensor | None] = [None for _ in model.parameters()]
    for _ in range(training.epochs):
        (lr,) = schedule.get_last_lr()
        model.train()
        for draw, targets in epoch_draws(images, labels, training.batch, training.augment, order, chance):
            model.zero_grad()
            F.cross_entropy(model(images.batch(draw)), targets).backward()
            with torch.no_grad():
                for i, weight in enumerate(model.parameters()):
                    assert weight.grad is not None
                    step = weight.grad + training.weight_decay * weight
                    old = momenta[i]
                    momentum = momenta[i] = step if old is None else MOMENTUM * old + step
                    weight -= lr * momentum
        dummy.step()
        schedule.step()
    return model


def same(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_the_cosine_is_that_of_torch() -> None:
    training = COSINE.model_copy(update={"epochs": 100})
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=training.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
    for epoch in range(100):
        assert learning_rate(training, epoch) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_the_cosine_starts_at_lr_and_is_above_zero_in_the_last_epoch() -> None:
    training = COSINE.model_copy(update={"epochs": 100})
    assert learning_rate(training, 0) == 0.1
    assert learning_rate(training, 50) == pytest.approx(0.05)
    assert 0 < learning_rate(training, 99) < 1e-4


def test_steps_are_those_of_torch_under_overfits_values() -> None:
    training = COSINE.model_copy(update={"epochs": 300, "schedule": "steps", "milestones": (150, 225)})
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=training.lr)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [150, 225], 0.1)
    for epoch in range(300):
        assert learning_rate(training, epoch) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        scheduler.step()
    assert [round(learning_rate(training, e), 6) for e in (149, 150, 224, 225)] == [0.1, 0.01, 0.01, 0.001]


def test_the_model_trains_at_the_rate_that_is_reported() -> None:
    lrs = [stats.lr for stats in train(resnet(), *data(), COSINE, SEEDS, cross_entropy, bf16=False)]
    assert lrs == [learning_rate(COSINE, epoch) for epoch in range(3)]


def test_adam_is_that_of_its_paper() -> None:
    # Kingma and Ba 2015, algorithm 1, with weight decay as a part of the gradient.
    training = COSINE.model_copy(update={"optimizer": "adam", "lr": 0.01, "weight_decay": 0.1})
    model, (images, _) = nn.Sequential(nn.Flatten(), nn.Linear(256, 10, bias=False)), data()
    weight = next(model.parameters())
    w, m, v = (weight.detach().double(), *torch.zeros(2, 10, 256, dtype=torch.float64))
    step, random = EagerStep(model, images, training, bf16=False), torch.Generator().manual_seed(0)
    for t, rate in enumerate((0.01, 0.01, 0.002), start=1):
        gradient = torch.randn(10, 10, generator=random)
        step.set_rate(rate)
        pixels = images.plain(torch.arange(10)).flatten(1)
        step.forward(Draw(torch.arange(10)))
        step.backward(gradient)
        g = gradient.T.double() @ pixels.double() + 0.1 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        torch.testing.assert_close(weight.detach().double(), w, rtol=1e-4, atol=1e-6)


def test_training_equals_a_textbook_loop() -> None:
    slow = COSINE.model_copy(update={"lr": 0.001})  # at 0.1 a last bit's difference grows within three epochs
    mine, theirs = trained(training=slow), textbook(slow)
    for name, value in mine.named_parameters():
        torch.testing.assert_close(value, theirs.get_parameter(name), rtol=0, atol=1e-6)


def test_training_equals_torchs_plain_sgd_on_a_loss_in_the_graph_bit_for_bit() -> None:
    model, (images, labels) = resnet(), data()
    order, chance = (torch.Generator().manual_seed(s) for s in (SEEDS.order, SEEDS.augment))
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, fused=True)
    for epoch in range(COSINE.epochs):
        sgd.param_groups[0]["lr"] = learning_rate(COSINE, epoch)
        model.train()
        for draw, targets in epoch_draws(images, labels, COSINE.batch, COSINE.augment, order, chance):
            sgd.zero_grad()
            F.cross_entropy(model(images.batch(draw)), targets).backward()
            sgd.step()
    assert same(trained(), model)


def test_weight_decay_acts_on_every_parameter() -> None:
    def nothing(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        return Answer(0.0, {"logits": torch.zeros_like(logits)}, 0.0, False)

    model = resnet()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    training = COSINE.model_copy(update={"epochs": 1, "batch": 40, "weight_decay": 0.25})
    list(train(model, *data(), training, SEEDS, nothing, bf16=False))
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter, torch.tensor(1 - 0.1 * 0.25)), name


def test_the_same_arguments_give_the_same_bits() -> None:
    assert same(trained(), trained())


def test_another_order_gives_other_weights() -> None:
    model = resnet()
    list(train(model, *data(), COSINE, SEEDS._replace(order=99), cross_entropy, bf16=False))
    assert not same(model, trained())


def test_another_augmentation_seed_gives_other_weights() -> None:
    model = resnet()
    list(train(model, *data(), COSINE, SEEDS._replace(augment=99), cross_entropy, bf16=False))
    assert not same(model, trained())


def test_the_loss_sees_detached_float32_logits_labels_and_the_epoch() -> None:
    seen = []

    def looking(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        seen.append((logits.dtype, logits.requires_grad, logits.shape[1], labels.dtype, epoch))
        return cross_entropy(logits, labels, epoch)

    trained(looking)
    assert set(seen) == {(torch.float32, False, 10, torch.int64, epoch) for epoch in range(3)}


def test_logits_that_are_not_finite_end_training_and_name_the_epoch() -> None:
    def huge(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        scale = 1e38 if epoch == 1 else 1.0
        answer = cross_entropy(logits, labels, epoch)
        return answer._replace(gradients={"logits": answer.gradient * scale})

    with pytest.raises(CollapsedError, match=r"logits are not finite in epoch 1"):
        trained(huge)


def test_weights_that_are_not_finite_end_training_after_the_epoch() -> None:
    def huge_at_the_end(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        answer = cross_entropy(logits, labels, epoch)
        last = epoch == 1 and len(labels) == 8
        return answer._replace(gradients={"logits": answer.gradient * (torch.inf if last else 1.0)})

    with pytest.raises(CollapsedError, match=r"weights are not finite after epoch 1"):
        trained(huge_at_the_end)


def test_what_the_loss_raises_is_passed_on() -> None:
    def raising(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        trained(raising)


def test_epoch_statistics_are_means_over_batches_and_count_zero_gradients() -> None:
    answers = []

    def fading(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        answer = cross_entropy(logits, labels, epoch)
        if len(labels) == 8:
            answer = answer._replace(gradients={"logits": torch.zeros_like(logits)}, norm=0.0)
        answers.append(answer)
        return answer

    stats = list(train(resnet(), *data(), COSINE, SEEDS, fading, bf16=False))
    assert [(s.epoch, s.batches, s.zero_gradients) for s in stats] == [(0, 3, 1), (1, 3, 1), (2, 3, 1)]
    assert stats[1].loss == pytest.approx(np.mean([a.loss for a in answers[3:6]]))
    assert stats[1].gradient_norm == pytest.approx(np.mean([a.norm for a in answers[3:6]]))


def test_evaluation_uses_running_statistics_and_leaves_model_and_gradients_alone() -> None:
    model, (images, _) = trained(), data()
    before = copy.deepcopy(model.state_dict())
    for parameter in model.parameters():
        parameter.grad = None
    logits = predict(model, images)
    model.eval()
    with torch.no_grad():
        alone = torch.cat([model(images.plain(slice(i, i + 1))) for i in range(len(images))])
    torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-4)
    assert not logits.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_evaluation_of_an_index_is_that_of_these_images() -> None:
    model, (images, _) = trained(), data()
    index = torch.tensor([7, 3, 30])
    torch.testing.assert_close(predict(model, images, index), predict(model, images)[index], rtol=1e-4, atol=1e-4)


def test_evaluation_between_epochs_changes_nothing() -> None:
    model, (images, labels) = resnet(), data()
    for _ in train(model, images, labels, COSINE, SEEDS, cross_entropy, bf16=False):
        predict(model, images)
    assert same(model, trained())


def test_under_bf16_the_weights_stay_float32_and_the_loss_sees_float32() -> None:
    model, dtypes = resnet(), set()

    def looking(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        dtypes.add(logits.dtype)
        return cross_entropy(logits, labels, epoch)

    list(train(model, *data(), COSINE, SEEDS, looking, bf16=True))
    assert dtypes == {torch.float32}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not same(model, trained())
