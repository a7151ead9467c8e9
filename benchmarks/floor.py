"""What a device could do at best: its measured matrix rate and bandwidth, and a model's counted work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Rates:
    """Floating-point operations and bytes a second."""

    flops: float
    bytes: float


def measure(device: torch.device, bf16: bool) -> Rates:
    """The best of several copies, and of several matrix products and large convolutions in the precision of training.

    Both, because they come from different libraries: on some processors one of them knows fewer instructions.
    """
    large, dtype = device.type == "cuda", torch.bfloat16 if bf16 else torch.float32
    size, images, channels, numbers = (8192, 512, 256, 1 << 28) if large else (1536, 16, 128, 1 << 25)
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    maps = torch.randn(images, channels, 32, 32, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    kernels = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    source, target = torch.ones(numbers, device=device), torch.empty(numbers, device=device)

    def best(work: Callable[[], object], amount: float) -> float:
        seconds = []
        for _ in range(8):
            synchronize(device)
            started = time.perf_counter()
            work()
            synchronize(device)
            seconds.append(time.perf_counter() - started)
        return amount / min(seconds)

    product = best(lambda: matrix @ matrix, 2 * size**3)
    convolution = best(lambda: functional.conv2d(maps, kernels, padding=1), 2 * maps.numel() * channels * 9)
    return Rates(max(product, convolution), best(lambda: target.copy_(source), 8 * numbers))


def seconds_an_image(model: nn.Module, inputs: Tensor, rates: Rates, bf16: bool) -> float:
    """The least that one image of a training step can take: its arithmetic, or its traffic if that takes longer.

    Arithmetic is three times that of the forward pass (torch's counter over-counts the backward pass of grouped
    convolutions). Traffic is that of activations alone: each layer's input and output, once forward and twice backward.
    """
    moved = 0

    def count(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        nonlocal moved
        moved += given[0].numel() + made.numel()

    hooks = [m.register_forward_hook(count) for m in model.modules() if not list(m.children())]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(inputs)
    for hook in hooks:
        hook.remove()
    traffic = 3 * moved * (2 if bf16 else 4)
    return max(3 * counter.get_total_flops() / rates.flops, traffic / rates.bytes) / len(inputs)


def synchronize(device: torch.device) -> None:
    """Wait for all that the device has been told to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
