"""Recorded steps change weights as plain ones do, and recording itself changes nothing. All but one need a GPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mlsbench.harness.images import Draw, Images
from mlsbench.harness.models import build, initialize
from mlsbench.harness.step import EagerStep, GraphedStep, MakeStep
from mlsbench.tasks import get_task

TRAINING = get_task("security-membership-inference-defense").spec.training("paper", "resnet20-cifar10")
SIZES = (32, 32, 20, 32, 20)  # a smaller last batch, twice
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


def images(device: str) -> Images:
    pixels = torch.randint(0, 256, (64, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Images(pixels, [0.5] * 3, [0.25] * 3, torch.device(device))


def draws(device: str) -> list[Draw]:
    chance = torch.Generator().manual_seed(2)
    made = []
    for size in SIZES:
        order, shift = torch.randperm(64, generator=chance)[:size], torch.randint(9, (size, 2), generator=chance)
        flip = torch.randint(2, (size,), generator=chance) == 1
        made.append(Draw(order.to(device), shift.to(device), flip.to(device)))
    return made


def model(device: str) -> nn.Module:
    made = build("resnet20", 10, 3)
    initialize(made, 0)
    return made.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload, no-any-return]


def trained(make: MakeStep, device: str, bf16: bool = False) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Logits of each step and the weights after all; the rate changes on the way."""
    made = model(device)
    step = make(made, images(device), TRAINING, bf16)
    seen = []
    for number, draw in enumerate(draws(device)):
        step.set_rate(0.1 / (1 + number))
        logits = step.forward(draw)
        seen.append(logits.clone())
        step.backward(torch.softmax(logits, 1) / len(logits))
    return seen, {name: value.cpu() for name, value in made.state_dict().items()}


def test_logits_are_float32_on_the_cpu_in_bf16_too() -> None:
    seen, _ = trained(EagerStep, "cpu", bf16=True)
    assert all(logits.dtype == torch.float32 and logits.device.type == "cpu" for logits in seen)


@needs_cuda
@pytest.mark.parametrize("bf16", [False, True])
def test_recorded_steps_give_the_logits_and_weights_of_plain_ones(bf16: bool) -> None:
    torch.backends.cudnn.allow_tf32 = False
    plain, recorded = trained(EagerStep, "cuda", bf16), trained(GraphedStep, "cuda", bf16)
    tolerance = 0.05 if bf16 else 1e-3
    for ours, theirs in zip(recorded[0], plain[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    for name, value in plain[1].items():
        torch.testing.assert_close(recorded[1][name], value, rtol=tolerance, atol=tolerance)


@needs_cuda
def test_recording_counts_no_step() -> None:
    _, weights = trained(GraphedStep, "cuda")
    assert {int(value) for name, value in weights.items() if name.endswith("num_batches_tracked")} == {len(SIZES)}


@needs_cuda
def test_deterministic_algorithms_give_the_same_bits_twice() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        first, second = trained(GraphedStep, "cuda", True), trained(GraphedStep, "cuda", True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(first[0], second[0], strict=True))
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])
