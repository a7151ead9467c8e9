"""Our trainer against a plain PyTorch loop on the same model, images and precision, in one run.

    python benchmarks/trainer.py [--benchmark resnet20-cifar10] [--batches 40] [--rounds 3] [--precision auto]

The plain loop is what people write: a torchvision dataset of PIL images with random crop, flip, ToTensor and Normalize,
a DataLoader with eight persistent workers (two on two cores) and pinned memory, the default memory format, SGD and
cross-entropy. Ours runs with no oracle at all (the same gradient every time: the step alone), with the loss in process
and through the strongest sandbox; on a GPU also with CUDA graphs and with deterministic algorithms. All train in
turn, round by round; the figures are the best round of each. "floor" is the share of the time that this device needs at
least, by its measured matrix rate and bandwidth. Without the prepared dataset random pixels take its place: they train
as slowly. `auto` is the protocol's precision: bf16 on a GPU, fp32 on a CPU.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
from mlsbench.harness.images import PADDING, Images
from mlsbench.harness.models import build, initialize
from mlsbench.harness.oracle import Answer, Oracle
from mlsbench.harness.session import choose_sandbox, open_session
from mlsbench.harness.split import RunSeeds
from mlsbench.harness.step import MOMENTUM, EagerStep, GraphedStep, MakeStep, Step
from mlsbench.harness.trainer import Loss, train
from mlsbench.tasks import Dataset, Training, baseline_path, get_task, read_submission

TASK = "security-membership-inference-defense"
PLAIN, ALONE = "plain PyTorch loop", "ours, the step alone"


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
    parser.add_argument("--rounds", type=int, default=3)
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
    torch.backends.cudnn.allow_tf32 = False

    def model() -> nn.Module:
        made = build(spec.model, dataset.classes, dataset.shape[2])
        initialize(made, 0)
        return made.to(device)

    pictures = Images(torch.from_numpy(images), dataset.mean, dataset.std, device)

    def ours(loss: Loss, make: MakeStep = EagerStep) -> Iterator[float]:
        made = model().to(memory_format=torch.channels_last)
        return _ours(made, pictures, torch.from_numpy(labels), training, loss, bf16, make)

    same = torch.full((training.batch, dataset.classes), 1e-4)
    alone = Answer(0.0, same, 1.0, True)
    before = measure(device, bf16)
    loops = {PLAIN: _plain(model(), images, labels, dataset, training, bf16), ALONE: ours(lambda *_: alone)}
    with tempfile.TemporaryDirectory() as folder:
        strongest = choose_sandbox("auto").name
        sessions = [open_session(task.spec, name, Path(folder) / "log") for name in ("inprocess", strongest)]
        with sessions[0] as inprocess, sessions[1] as isolated:
            for name, session in (("ours, in process", inprocess), (f"ours, {strongest}", isolated)):
                session.load(read_submission(baseline_path(TASK, "erm"), task).text)
                loops[name] = ours(Oracle(session))
            if device.type == "cuda":
                for name, session in (("in process", inprocess), (strongest, isolated)):
                    loops[f"ours, {name}, CUDA graphs"] = ours(Oracle(session), GraphedStep)
                loops["ours, the step alone, CUDA graphs"] = ours(lambda *_: alone, GraphedStep)
                loops["ours, in process, deterministic"] = _deterministic(ours(Oracle(inprocess)))
            rounds = [
                {name: _measured(loop, device) for name, loop in loops.items()} for _ in range(options.rounds + 1)
            ]
    best = {name: min(r[name] for r in rounds[1:]) for name in loops}  # the first round warmed up
    after = measure(device, bf16)  # whichever time the machine was quieter
    rates = Rates(max(before.flops, after.flops), max(before.bytes, after.bytes))
    inputs = pictures.plain(torch.arange(16))
    least = seconds_an_image(model().eval(), inputs, rates, bf16) * len(images)
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    print(f"{options.benchmark}, {'bf16' if bf16 else 'fp32'}, {where}: {rates.flops / 1e12:.2f} TFLOP/s, "
          f"{rates.bytes / 1e9:.0f} GB/s; torch {torch.__version__}, Python {platform.python_version()}\n")  # fmt: skip
    print(
        "| loop | images/s | ms/step | against plain | against the step alone | floor | peak MiB |\n" + "|---" * 7 + "|"
    )
    for name, (seconds, peak) in best.items():
        speed = f"{len(images) / seconds:,.0f} | {1000 * seconds / options.batches:.2f}"
        ratios = f"{best[PLAIN][0] / seconds:.2f}× | {seconds / best[ALONE][0]:.2f}× | {least / seconds:.0%}"
        print(f"| {name} | {speed} | {ratios} | {peak or '–'} |")


def _measured(loop: Iterator[float], device: torch.device) -> tuple[float, int]:
    """Seconds of the next epoch, and the memory of the device, in MiB, that was in use at once meanwhile."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = next(loop)
    return seconds, torch.cuda.max_memory_allocated(device) >> 20 if device.type == "cuda" else 0


def _deterministic(loop: Iterator[float]) -> Iterator[float]:
    """`loop` with deterministic algorithms, as `--deterministic` has them."""
    while True:
        torch.use_deterministic_algorithms(True)
        try:
            seconds = next(loop)
        finally:
            torch.use_deterministic_algorithms(False)
        yield seconds


def _data(name: str, dataset: Dataset, count: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        data = load(name, dataset)
        return data.train_images[:count], data.train_labels[:count]
    except UserError:
        chance = np.random.default_rng(0)
        return chance.integers(0, 256, (count, *dataset.shape), np.uint8), chance.integers(0, dataset.classes, count)


def _plain(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, dataset: Dataset, training: Training, bf16: bool
) -> Iterator[float]:
    """Seconds of one epoch after the other."""
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
        yield _elapsed(started, device)


def _ours(
    model: nn.Module, images: Images, labels: torch.Tensor, training: Training, loss: Loss, bf16: bool, make: MakeStep
) -> Iterator[float]:
    """Seconds of one epoch after the other, in steps that are made once."""
    made = None

    def once(*given: Any) -> Step:
        nonlocal made
        made = made or make(*given)
        return made

    while True:
        started = time.perf_counter()
        for _ in train(model, images, labels, training, RunSeeds(0, 1, 2), loss, bf16, once):
            yield _elapsed(started, images.device)


def _elapsed(started: float, device: torch.device) -> float:
    synchronize(device)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
