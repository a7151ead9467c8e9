"""Our trainer against a plain PyTorch loop on the same model and images, in one run.

    python benchmarks/trainer.py [--benchmark resnet20-cifar10] [--batches 40] [--rounds 5] [--precision auto]

The plain loop is what people write: a torchvision dataset of PIL images with random crop, flip, ToTensor and Normalize,
a DataLoader with eight persistent workers (two on two cores) and pinned memory, the default memory format, SGD and
cross-entropy, in the precision asked for; `auto` is the protocol's, bf16 on a GPU and fp32 on a CPU. Ours runs with no
oracle at all (the same gradient every time: the step alone), with the loss in process and through the strongest
sandbox; on a GPU also without CUDA graphs and with deterministic algorithms, on a CPU that has instructions for it also
in bf16. All train in turn, round by round; the figures are medians over rounds, ratios those of the same round.
"oracle" is the share of the time that passed between the question to the candidate and its answer, "floor" that which
this device needs at least, by its measured matrix rate and bandwidth. Without the prepared dataset random pixels take
its place: they train as slowly.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torchvision
from floor import Rates, measure, seconds_an_image, synchronize
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms

from mlsbench import UserError
from mlsbench.harness.data import load
from mlsbench.harness.device import devices
from mlsbench.harness.exchange import Loss, LossExchange
from mlsbench.harness.graphs import GraphedStep
from mlsbench.harness.images import PADDING, Images
from mlsbench.harness.models import build, initialize
from mlsbench.harness.oracle import METHOD, Answer, Oracle
from mlsbench.harness.session import choose_sandbox, open_session, wire_method
from mlsbench.harness.split import RunSeeds
from mlsbench.harness.step import MOMENTUM, EagerStep, Step
from mlsbench.harness.trainer import train
from mlsbench.sandbox.session import Session
from mlsbench.tasks import Dataset, Training, baseline_path, get_task, read_submission

TASK = "security-membership-inference-defense"
PLAIN, ALONE = "plain PyTorch loop", "ours, the step alone"
Way = Callable[[nn.Module, Images, Training, bool], Step]


@dataclass(frozen=True)
class Round:
    """Of one epoch: seconds in all, those of them in the oracle, and memory of the device."""

    seconds: float
    oracle: float = 0.0
    peak_mib: int = 0


class Pictures(torchvision.datasets.VisionDataset):
    """Images in memory, handed out as torchvision's own datasets do: as PIL images, transformed one by one."""

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, transform: Callable[[Image.Image], torch.Tensor]
    ) -> None:
        super().__init__(None, transform=transform)
        self._images, self._labels = images, labels

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self._images[index].squeeze())), int(self._labels[index])


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", default="resnet20-cifar10")
    parser.add_argument("--batches", type=int, default=40, help="batches a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    task = get_task(TASK)
    spec = task.spec.benchmarks[options.benchmark]
    dataset = task.spec.datasets[spec.dataset]
    device = torch.device(devices(options.device)[0])
    training = task.spec.training("paper", options.benchmark).model_copy(update={"epochs": 1})
    images, labels = _data(spec.dataset, dataset, options.batches * training.batch)
    bf16 = options.precision == "bf16" or (options.precision == "auto" and device.type == "cuda")
    fastest: Way = GraphedStep if device.type == "cuda" else EagerStep
    torch.backends.cudnn.allow_tf32 = False
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without which nothing is deterministic
    pictures = Images(torch.from_numpy(images), dataset.mean, dataset.std, device)
    same = torch.full((training.batch, dataset.classes), 1e-4)
    alone = Answer(0.0, {"logits": same}, 1.0, True)

    def model() -> nn.Module:
        made = build(spec.model, dataset.classes, task.spec.image_shape(options.benchmark))
        initialize(made, 0)
        return made.to(device)

    def ours(session: Session | None, way: Way = fastest, bf16: bool = bf16) -> Iterator[Round]:
        made = model().to(memory_format=torch.channels_last)
        loss = Oracle(session, wire_method(task.spec, METHOD)) if session else lambda **_: alone
        return _ours(made, lambda: way(made, pictures, training, bf16), pictures, torch.from_numpy(labels), training,
                     loss, session)  # fmt: skip

    before = measure(device, bf16)
    loops = {PLAIN: _plain(model(), images, labels, dataset, training, bf16), ALONE: ours(None)}
    with tempfile.TemporaryDirectory() as folder:
        strongest = choose_sandbox("auto").name
        sessions = [open_session(task.spec, name, Path(folder) / "log") for name in ("inprocess", strongest)]
        with sessions[0] as inprocess, sessions[1] as isolated:
            for session in (inprocess, isolated):
                session.load(read_submission(baseline_path(TASK, "erm"), task).text)
            loops |= {"ours, in process": ours(inprocess), f"ours, {strongest}": ours(isolated)}
            if device.type == "cuda":
                loops["ours, the step alone, no CUDA graphs"] = ours(None, EagerStep)
                loops[f"ours, {strongest}, no CUDA graphs"] = ours(isolated, EagerStep)
                loops[f"ours, {strongest}, deterministic"] = _deterministic(ours(isolated))
            elif not bf16 and torch.ops.mkldnn._is_mkldnn_bf16_supported():
                loops[f"ours, {strongest}, bf16"] = ours(isolated, bf16=True)
            rounds = [
                {name: _measured(loop, device) for name, loop in loops.items()} for _ in range(options.rounds + 1)
            ][1:]  # the first one warmed up
    after = measure(device, bf16)  # whichever time the machine was quieter
    rates = Rates(max(before.flops, after.flops), max(before.bytes, after.bytes))
    least = seconds_an_image(model().eval(), pictures.plain(torch.arange(16)), rates, bf16) * len(images)
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    print(f"{options.benchmark}, {'bf16' if bf16 else 'fp32'}, {where}: {rates.flops / 1e12:.2f} TFLOP/s, "
          f"{rates.bytes / 1e9:.0f} GB/s; torch {torch.__version__}, Python {platform.python_version()}\n")  # fmt: skip
    print("| loop | images/s | ms/step | against plain | against the step alone | oracle | floor | peak MiB |")
    print("|---" * 8 + "|")
    for name in loops:
        seconds = median(r[name].seconds for r in rounds)
        plain = median(r[PLAIN].seconds / r[name].seconds for r in rounds)
        step = median(r[name].seconds / r[ALONE].seconds for r in rounds)
        oracle = median(r[name].oracle / r[name].seconds for r in rounds)
        peak = max(r[name].peak_mib for r in rounds)
        speed = f"{len(images) / seconds:,.0f} | {1000 * seconds / options.batches:.2f}"
        print(f"| {name} | {speed} | {plain:.2f}× | {step:.2f}× | {f'{oracle:.1%}' if oracle else '–'} | "
              f"{least / seconds:.0%} | {peak or '–'} |")  # fmt: skip


def _measured(loop: Iterator[Round], device: torch.device) -> Round:
    """The loop's next epoch, with the memory of the device that was in use at once meanwhile."""
    if device.type != "cuda":
        return next(loop)
    torch.cuda.reset_peak_memory_stats(device)
    return replace(next(loop), peak_mib=torch.cuda.max_memory_allocated(device) >> 20)


def _deterministic(loop: Iterator[Round]) -> Iterator[Round]:
    """`loop` with deterministic algorithms, as `--deterministic` has them."""
    while True:
        torch.use_deterministic_algorithms(True)
        try:
            measured = next(loop)
        finally:
            torch.use_deterministic_algorithms(False)
        yield measured


def _data(name: str, dataset: Dataset, count: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        data = load(name, dataset)
        return data.train_images[:count], data.train_labels[:count]
    except UserError:
        chance = np.random.default_rng(0)
        return chance.integers(0, 256, (count, *dataset.shape), np.uint8), chance.integers(0, dataset.classes, count)


def _plain(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, dataset: Dataset, training: Training, bf16: bool
) -> Iterator[Round]:
    """One epoch after the other."""
    steps = [transforms.RandomCrop(images.shape[1], PADDING), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    transform = transforms.Compose([*steps, transforms.Normalize(dataset.mean, dataset.std)])
    device = next(model.parameters()).device
    workers = min(8, os.cpu_count() or 1)
    loader = DataLoader(
        Pictures(images, labels, transform), training.batch, shuffle=True, num_workers=workers,
        persistent_workers=True, pin_memory=device.type == "cuda",
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), training.lr, MOMENTUM, weight_decay=training.weight_decay)
    criterion = nn.CrossEntropyLoss()
    while True:
        started = time.perf_counter()
        model.train()
        for inputs, targets in loader:
            inputs, targets = inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
        yield Round(_elapsed(started, device))


def _ours(
    model: nn.Module, make: Callable[[], Step], images: Images, labels: torch.Tensor, training: Training, loss: Loss,
    session: Session | None,
) -> Iterator[Round]:  # fmt: skip
    """One epoch after the other, in steps that are made once."""
    exchange = LossExchange(make(), loss)
    while True:
        started, before = time.perf_counter(), session.seconds if session else 0.0
        for _ in train(model, exchange, images, labels, training, RunSeeds(0, 1, 2)):
            pass
        yield Round(_elapsed(started, images.device), (session.seconds if session else 0.0) - before)


def _elapsed(started: float, device: torch.device) -> float:
    synchronize(device)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
