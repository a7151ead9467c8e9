"""The architectures of published membership-inference experiments have the parameters and layers that are published."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from mlsbench.harness.models import MODELS, Shape, build, initialize
from mlsbench.harness.models.densenet import DenseBlock
from mlsbench.harness.models.resnet import ShortcutA

CIFAR, MNIST, PURCHASE, TEXAS = (32, 32, 3), (28, 28, 1), (1, 600, 1), (1, 6169, 1)
NAMED = [
    ("alexnet", 10, CIFAR),
    ("vgg16", 100, CIFAR),
    ("resnet110", 10, CIFAR),
    ("densenet_bc_100_12", 10, CIFAR),
    ("tabular", 100, PURCHASE),
    ("shokri_cnn", 10, MNIST),
    ("mlp", 10, MNIST),
]


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def noise(shape: Shape, count: int) -> Tensor:
    height, width, channels = shape
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "classes", "shape", "count"),
    [
        ("alexnet", 10, CIFAR, 2_472_266),  # published for this form: 2.47 million
        ("vgg16", 10, CIFAR, 14_719_818),  # configuration D's convolutions are 14.7 million
        ("resnet110", 10, CIFAR, 1_727_962),  # the paper's table 6: 1.7 million
        ("densenet_bc_100_12", 10, CIFAR, 769_162),  # the paper's table 2: 0.8 million
        ("tabular", 100, PURCHASE, 1_317_348),
        ("tabular", 100, TEXAS, 7_020_004),
    ],
)
def test_a_model_has_the_parameters_that_are_published(name: str, classes: int, shape: Shape, count: int) -> None:
    assert parameters(build(name, classes, shape)) == count


def test_densenet_has_the_parameters_of_its_formula() -> None:
    def norm(width: int) -> int:
        return 2 * width

    count, width = 9 * 3 * 24, 24
    for stage in range(3):
        for _ in range(16):
            count += norm(width) + width * 48 + norm(48) + 9 * 48 * 12
            width += 12
        count += norm(width)
        if stage < 2:
            count += width * (width // 2)
            width //= 2
    assert width == 342
    assert parameters(build("densenet_bc_100_12", 100, CIFAR)) == count + width * 100 + 100


def test_depths_count_convolutions_and_the_last_linear_layer() -> None:
    for name, depth in (("alexnet", 6), ("vgg16", 14), ("resnet110", 110), ("densenet_bc_100_12", 100)):
        layers = [m for m in build(name, 10, CIFAR).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(layers) == depth, name


def test_a_dense_block_keeps_the_old_maps_before_the_new() -> None:
    maps = torch.randn(2, 24, 4, 4, generator=torch.Generator().manual_seed(0))
    grown = DenseBlock(24, 12)(maps)
    assert grown.shape == (2, 36, 4, 4)
    assert torch.equal(grown[:, :24], maps)


def test_resnet110_is_resnet20_with_eighteen_blocks_a_stage() -> None:
    small, large = (build(name, 10, CIFAR).state_dict() for name in ("resnet20", "resnet110"))
    assert len(large) - len(small) == 3 * 15 * 12  # two convolutions, two batch norms of five tensors
    shortcuts = [m for m in build("resnet110", 10, CIFAR).modules() if isinstance(m, ShortcutA)]
    assert len(shortcuts) == 2


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "shokri_cnn", "tabular", "mlp"])
def test_networks_from_before_batch_norm_have_none(name: str) -> None:
    model = build(name, 10, CIFAR)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.Dropout) for m in model.modules())


@pytest.mark.parametrize("shape", [PURCHASE, (1, 64, 1), CIFAR])
def test_the_tabular_network_takes_all_values_through_four_hidden_tanh_layers(shape: Shape) -> None:
    layers = [m for m in build("tabular", 100, shape).modules() if isinstance(m, nn.Linear)]
    inputs = shape[0] * shape[1] * shape[2]
    assert [(m.in_features, m.out_features) for m in layers] == list(
        itertools.pairwise((inputs, 1024, 512, 256, 128, 100))
    )
    assert sum(isinstance(m, nn.Tanh) for m in build("tabular", 100, shape).modules()) == 4


@pytest.mark.parametrize("shape", [MNIST, (8, 8, 1), (30, 18, 3)])
def test_shokris_network_takes_images_of_any_size(shape: Shape) -> None:
    assert build("shokri_cnn", 10, shape)(noise(shape, 2)).shape == (2, 10)


@pytest.mark.parametrize(("name", "classes", "shape"), NAMED)
def test_images_become_one_row_of_logits_each(name: str, classes: int, shape: Shape) -> None:
    logits = build(name, classes, shape)(noise(shape, 3).to(memory_format=torch.channels_last))
    assert logits.shape == (3, classes)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize(("name", "classes", "shape"), NAMED)
def test_weights_follow_from_the_seed_alone(name: str, classes: int, shape: Shape) -> None:
    first, again, other = (build(name, classes, shape) for _ in range(3))
    for model, seed in ((first, 7), (again, 7), (other, 8)):
        initialize(model, seed)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


@pytest.mark.parametrize(("name", "classes", "shape"), NAMED)
def test_a_few_steps_fit_a_batch_of_noise(name: str, classes: int, shape: Shape) -> None:
    model = build(name, classes, shape)
    initialize(model, 1)
    images, labels = noise(shape, 8), torch.arange(8) % classes
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    losses = []
    for _ in range(6):
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    assert losses[-1] < losses[0]


def test_every_model_can_be_initialized() -> None:
    for build_one in MODELS.values():
        initialize(build_one(10, CIFAR), 0)


def test_a_layer_of_which_nothing_says_how_it_starts_is_an_error() -> None:
    with pytest.raises(TypeError, match="how a LayerNorm is initialized"):
        initialize(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), 0)
