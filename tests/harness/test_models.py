"""The architectures are those of the benchmarks, to the parameter and the operation, and start from a seed alone."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mlsbench import UserError
from mlsbench.harness.models import MODELS, build, initialize
from mlsbench.harness.models.mobilenet import STAGES
from mlsbench.harness.models.resnet import ShortcutA
from mlsbench.tasks import models

BENCHMARKS = [("resnet20", 10, 3, 32), ("vgg16bn", 100, 3, 32), ("mobilenetv2", 10, 1, 28)]
SMOKE = [("resnet20", 10, 1, 32), ("vgg16bn", 10, 1, 32), ("mobilenetv2", 10, 1, 16)]


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def features(model: nn.Module, images: Tensor) -> Tensor:
    return model.get_submodule("features")(images)  # type: ignore[no-any-return]


def test_resnet20_has_the_parameters_of_the_paper() -> None:
    def conv(before: int, after: int) -> int:
        return 9 * before * after + 2 * after  # with its batch norm

    stages = 6 * conv(16, 16) + conv(16, 32) + 5 * conv(32, 32) + conv(32, 64) + 5 * conv(64, 64)
    by_hand = conv(3, 16) + stages + 64 * 10 + 10
    assert parameters(build("resnet20", 10, (32, 32, 3))) == by_hand == 269_722


def test_vgg16bn_has_thirteen_convolutions_and_one_linear_layer() -> None:
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    convolutions = sum(9 * a * b + b + 2 * b for a, b in itertools.pairwise(widths))
    assert parameters(build("vgg16bn", 100, (32, 32, 3))) == convolutions + 512 * 100 + 100 == 14_774_436


def test_mobilenetv2_has_the_parameters_of_the_papers_table() -> None:
    table = [(1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)]
    count, before = 9 * 1 * 32 + 2 * 32, 32
    for expansion, after, repeats in table:
        for _ in range(repeats):
            hidden = before * expansion
            count += (before * hidden + 2 * hidden) * (expansion > 1)
            count += 9 * hidden + 2 * hidden + hidden * after + 2 * after
            before = after
    count += 320 * 1280 + 2 * 1280 + 1280 * 10 + 10
    assert parameters(build("mobilenetv2", 10, (28, 28, 1))) == count == 2_236_106


def test_a_specification_can_name_the_models_that_can_be_built() -> None:
    assert tuple(MODELS) == models.MODELS


@pytest.mark.parametrize(("name", "classes", "channels", "size"), BENCHMARKS + SMOKE)
def test_a_model_gives_one_row_of_logits_an_image(name: str, classes: int, channels: int, size: int) -> None:
    logits = build(name, classes, (size, size, channels))(torch.zeros(3, channels, size, size))
    assert logits.shape == (3, classes)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "channels", "size", "maps"),
    [
        ("resnet20", 3, 32, (64, 8, 8)),
        ("vgg16bn", 3, 32, (512, 1, 1)),
        ("mobilenetv2", 1, 28, (1280, 4, 4)),
        ("mobilenetv2", 1, 16, (1280, 2, 2)),
    ],
)
def test_the_maps_before_pooling_have_the_size_that_the_strides_leave(
    name: str, channels: int, size: int, maps: tuple[int, int, int]
) -> None:
    assert features(build(name, 10, (size, size, channels)), torch.zeros(2, channels, size, size)).shape == (2, *maps)


def test_mobilenetv2_first_shrinks_images_in_its_third_stage() -> None:
    sides, maps = [], torch.zeros(2, 1, 28, 28)
    for block in build("mobilenetv2", 10, (28, 28, 1)).get_submodule("features").children():
        maps = block(maps)
        sides.append(maps.shape[-1])
    blocks = [stage[2] for stage in STAGES]
    assert sides[: 1 + sum(blocks[:2])] == [28] * 4
    assert sides[4:] == [14] * 3 + [7] * (4 + 3) + [4] * (3 + 1 + 1)


def test_mobilenetv2_has_no_dropout() -> None:
    assert not any(isinstance(module, nn.Dropout) for module in build("mobilenetv2", 10, (28, 28, 1)).modules())


@pytest.mark.parametrize("name", ["mlp", "mobilenetv2", "resnet20", "vgg16bn"])
def test_a_dropout_variant_starts_and_evaluates_as_the_plain_model_and_trains_otherwise(name: str) -> None:
    plain, dropping = (build(variant, 10, (32, 32, 1)) for variant in (name, f"{name}_dropout"))
    for model in (plain, dropping):
        initialize(model, 3)
    images = torch.randn(8, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    for key, value in plain.state_dict().items():
        assert torch.equal(dropping.state_dict()[key], value), key
    with torch.random.fork_rng(devices=[]):
        assert torch.equal(dropping.eval()(images), plain.eval()(images))
        assert not torch.equal(dropping.train()(images), dropping(images))
        assert torch.equal(plain.train()(images), plain(images))


def test_mlp_has_128_hidden_units_on_all_values_of_an_image() -> None:
    assert parameters(build("mlp", 10, (8, 8, 1))) == 64 * 128 + 128 + 128 * 10 + 10
    assert parameters(build("mlp", 100, (32, 32, 3))) == 3072 * 128 + 128 + 128 * 100 + 100


def test_resnet20_shortcuts_have_no_parameters_and_stand_where_maps_shrink() -> None:
    model = build("resnet20", 10, (32, 32, 3))
    shortcuts = [module for module in model.modules() if isinstance(module, ShortcutA)]
    assert [parameters(shortcut) for shortcut in shortcuts] == [0, 0]
    assert [m.kernel_size for m in model.modules() if isinstance(m, nn.Conv2d)] == [(3, 3)] * 19


def test_shortcut_a_takes_every_second_pixel_and_adds_channels_of_zeros() -> None:
    maps = torch.arange(2 * 4 * 4, dtype=torch.float32).reshape(1, 2, 4, 4)
    shortcut = ShortcutA(3)(maps)
    assert shortcut.shape == (1, 5, 2, 2)
    assert shortcut[0, 0].tolist() == [[0, 2], [8, 10]]
    assert shortcut[0, 1].tolist() == [[16, 18], [24, 26]]
    assert not shortcut[0, 2:].any()


@pytest.mark.parametrize(("name", "classes", "channels", "size"), BENCHMARKS)
def test_pooling_is_the_mean_over_positions(name: str, classes: int, channels: int, size: int) -> None:
    model = build(name, classes, (size, size, channels)).eval()
    images = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))
    pooled = features(model, images).mean((2, 3))
    torch.testing.assert_close(model(images), model.get_submodule("head")(pooled), rtol=0, atol=0)


def mflop(model: nn.Module, images: Tensor, backward: bool) -> float:
    """Millions of floating-point operations for one image, a multiply-add counted as two."""
    with FlopCounterMode(display=False) as counter:
        logits = model(images)
        if backward:
            logits.sum().backward()
    return float(counter.get_total_flops()) / len(images) / 1e6


@pytest.mark.parametrize(("name", "classes", "expected"), [("resnet20", 10, 242), ("vgg16bn", 100, 1876)])
def test_training_on_one_image_takes_the_operations_counted_for_the_benchmark(
    name: str, classes: int, expected: float
) -> None:
    assert mflop(build(name, classes, (32, 32, 3)), torch.zeros(2, 3, 32, 32), backward=True) == pytest.approx(
        expected, abs=0.5
    )


def test_training_mobilenetv2_takes_thirteen_times_the_operations_of_imagenet_strides() -> None:
    # The backward pass of grouped convolutions is over-counted, so it is taken as twice the forward pass.
    work = 3 * mflop(build("mobilenetv2", 10, (28, 28, 1)), torch.zeros(2, 1, 28, 28), backward=False)
    assert work == pytest.approx(438, abs=0.5)
    assert work / 34 == pytest.approx(13, abs=0.5)


@pytest.mark.parametrize(("name", "classes", "channels", "size"), BENCHMARKS)
def test_initialization_follows_from_the_seed_whatever_was_drawn_before(
    name: str, classes: int, channels: int, size: int
) -> None:
    torch.manual_seed(1)
    first = build(name, classes, (size, size, channels))
    initialize(first, 2**62 + 5)
    torch.manual_seed(2)
    second = build(name, classes, (size, size, channels))
    second(torch.randn(2, channels, size, size))  # moves the running statistics of batch norm
    initialize(second, 2**62 + 5)
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key


def test_another_seed_gives_other_weights() -> None:
    first, second = build("resnet20", 10, (32, 32, 3)), build("resnet20", 10, (32, 32, 3))
    initialize(first, 1)
    initialize(second, 2)
    for (name, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b) == bool((a == a.flatten()[0]).all()), name


def test_building_and_initializing_leave_the_global_random_state_alone() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    initialize(build("vgg16bn", 10, (32, 32, 1)), 4)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(("name", "classes", "channels", "size"), BENCHMARKS)
def test_convolutions_start_normal_with_the_variance_of_their_fan_out(
    name: str, classes: int, channels: int, size: int
) -> None:
    model = build(name, classes, (size, size, channels))
    initialize(model, 5)
    for layer, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            scaled = module.weight.detach().double() / math.sqrt(2 / (module.out_channels * module.kernel_size[0] ** 2))
            count = scaled.numel()
            # Five standard errors of a normal sample's mean, variance and fourth moment.
            assert abs(scaled.mean()) < 5 / math.sqrt(count), layer
            assert abs(scaled.var() - 1) < 5 * math.sqrt(2 / count), layer
            assert abs((scaled**4).mean() - 3) < 5 * math.sqrt(96 / count), layer
            assert module.bias is None or not module.bias.any(), layer


def test_batch_norm_starts_as_the_identity_of_normalized_maps() -> None:
    model = build("mobilenetv2", 10, (28, 28, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.3)
    initialize(model, 6)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


def test_the_linear_layer_starts_as_pytorch_does() -> None:
    linear = nn.Linear(64, 10)
    initialize(linear, 7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        plain = nn.Linear(64, 10)
    assert torch.equal(linear.weight, plain.weight)
    assert torch.equal(linear.bias, plain.bias)


def test_an_unknown_model_is_answered_with_those_that_exist() -> None:
    with pytest.raises(UserError, match=r"no model 'resnet21'; the models are .*resnet20, "):
        build("resnet21", 10, (32, 32, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("name", "classes", "channels", "size"), BENCHMARKS)
def test_gradients_on_a_gpu_are_the_same_bits_each_time(name: str, classes: int, channels: int, size: int) -> None:
    model = build(name, classes, (size, size, channels))
    initialize(model, 8)
    model.cuda()
    images = torch.randn(128, channels, size, size, generator=torch.Generator().manual_seed(0)).cuda()
    runs = []
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        for _ in range(3):
            model.zero_grad()
            model(images).square().sum().backward()
            runs.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for again in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], again, strict=True))
