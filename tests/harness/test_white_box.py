"""Gradient-norm attacks see the norms that a plain backward pass gives, tell a memorizer's members, and read no file
but exactly the model's weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from mlsbench import UserError
from mlsbench.harness.data import Prepared, load
from mlsbench.harness.images import Images
from mlsbench.harness.models import build, initialize
from mlsbench.harness.split import membership
from mlsbench.harness.trainer import predict
from mlsbench.harness.white_box import ATTACKS, gradient_attacks, log_norms, read_weights
from mlsbench.scoring.attacks import Outputs
from mlsbench.scoring.membership import membership_auc
from mlsbench.tasks import get_task

SPEC = get_task("security-membership-inference-defense").spec
DIGITS = SPEC.datasets["digits"]
MODELS = [("resnet20", 32), ("vgg16bn", 32), ("mobilenetv2", 16)]


def noise(size: int, count: int = 5) -> tuple[Images, np.ndarray]:
    pixels = torch.randint(256, (count, size, size, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    return Images(pixels, DIGITS.mean, DIGITS.std, torch.device("cpu")), np.arange(count) % 10


def model_of(name: str) -> nn.Module:
    model = build(name, 10, (32, 32, 1))
    initialize(model, 1)
    return model


def plain_norms(model: nn.Module, image: Tensor, label: int) -> list[float]:
    """L1 and L2 by all parameters, then by the input, of one backward pass."""
    image = image[None].clone().requires_grad_()
    model.eval()
    loss = functional.cross_entropy(model(image), torch.tensor([label]))
    *by_weight, by_input = torch.autograd.grad(loss, [*model.parameters(), image])
    weights = torch.cat([g.flatten() for g in by_weight]).double()
    return [float(g.norm(order)) for g in (weights, by_input.flatten().double()) for order in (1, 2)]


@pytest.mark.parametrize(("name", "size"), MODELS)
def test_the_norms_are_those_of_one_backward_pass_an_example(name: str, size: int) -> None:
    model, (images, labels) = model_of(name), noise(size)
    found = log_norms(model, images, labels)
    batch = images.plain(slice(None))
    expected = np.array([plain_norms(model, image, int(y)) for image, y in zip(batch, labels, strict=True)])
    assert tuple(found) == ATTACKS
    for column, attack in enumerate(ATTACKS):
        assert np.exp(found[attack]) == pytest.approx(expected[:, column], rel=1e-3)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (images, labels) = model_of("resnet20"), noise(32)
    whole = log_norms(model, images, labels)
    monkeypatch.setattr("mlsbench.harness.white_box.CHUNK_BYTES", 1)
    for attack, values in log_norms(model, images, labels).items():
        assert values == pytest.approx(whole[attack], abs=1e-3)


def test_sure_examples_keep_their_order_where_their_probability_rounds_to_one() -> None:
    model, (images, _) = model_of("resnet20"), noise(32)
    labels = predict(model, images).argmax(1).numpy()
    once = log_norms(model, images, labels)["grad-w-l2"]
    with torch.no_grad():
        for value in model.get_submodule("head").parameters():
            value *= 300
    assert (predict(model, images).softmax(1).amax(1) == 1).all()
    assert len(set(log_norms(model, images, labels)["grad-w-l2"])) == len(once)


@pytest.fixture(scope="module")
def data() -> Prepared:
    return load("digits", DIGITS, None, 32)


@pytest.fixture(scope="module")
def memorizer(data: Prepared) -> tuple[nn.Module, Outputs]:
    """ResNet-20 that has learned 32 digits by heart, some under wrong labels: nothing else helps to tell them."""
    member = membership(b"public", 42, data.train_keys)
    labels = (data.train_labels + np.arange(len(member)) % 3) % 10
    pixels = torch.from_numpy(data.train_images.repeat(4, axis=1).repeat(4, axis=2))
    images, model = Images(pixels, DIGITS.mean, DIGITS.std, torch.device("cpu")), model_of("resnet20")
    index, targets = torch.from_numpy(np.flatnonzero(member)), torch.from_numpy(labels)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(30):
        model.train()
        optimizer.zero_grad()
        functional.cross_entropy(model(images.plain(index)), targets[index]).backward()
        optimizer.step()
    return model, Outputs(predict(model, images).numpy(), labels, member)


def test_a_memorizers_members_have_small_gradients(
    memorizer: tuple[nn.Module, Outputs], data: Prepared, tmp_path: Path
) -> None:
    model, outputs = memorizer
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "w")
    found = gradient_attacks(tmp_path / "w", SPEC, "resnet20-digits", "resnet20", data, outputs, "cpu")
    for attack, scores in found.items():
        assert scores.scored.all()
        assert membership_auc(scores.values, outputs.member) > 0.65, attack


def test_of_a_large_pool_the_first_of_each_kind_are_scored(
    memorizer: tuple[nn.Module, Outputs], data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlsbench.harness.white_box.EXAMPLES", 3)
    model, outputs = memorizer
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "w")
    found = gradient_attacks(tmp_path / "w", SPEC, "resnet20-digits", "resnet20", data, outputs, "cpu")
    first = sorted(i for kind in (True, False) for i in np.flatnonzero(outputs.member == kind)[:3])
    assert np.flatnonzero(found["grad-x-l2"].scored).tolist() == first


Change = Callable[[dict[str, Tensor]], object]
UNFIT: dict[str, Change] = {
    "other tensors": lambda t: t.pop("head.bias"),
    "other tensors than the model: more": lambda t: t.update(more=torch.zeros(1)),
    "not as in the model": lambda t: t.update({"head.bias": torch.zeros(11)}),
    "float64": lambda t: t.update({"head.bias": torch.zeros(10, dtype=torch.float64)}),
    "not finite": lambda t: t.update({"head.bias": torch.full((10,), torch.nan)}),
    "larger than the model": lambda t: t.update({"head.bias": torch.zeros(1_000_000)}),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_weights_that_are_not_the_models_are_refused(fault: str, tmp_path: Path) -> None:
    model = model_of("resnet20")
    tensors = dict(model.state_dict())
    UNFIT[fault](tensors)
    save_file(tensors, tmp_path / "w")
    with pytest.raises(UserError, match=fault):
        read_weights(model_of("resnet20"), tmp_path / "w")


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04}.", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"])
def test_what_is_no_file_of_weights_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "w").write_bytes(content)
    with pytest.raises(UserError):
        read_weights(model_of("resnet20"), tmp_path / "w")
