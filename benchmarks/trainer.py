"""Our trainer against a plain PyTorch loop on the same model, images and precision, in one run.

    python benchmarks/trainer.py [--benchmark resnet20-cifar10] [--batches 40] [--rounds 3] [--precision fp32]

The plain loop is what people write: a torchvision dataset of PIL images with random crop, flip, ToTensor and Normalize,
a DataLoader with persistent workers, the default memory format, SGD and cross-entropy. Ours runs once with the loss in
process and once through the strongest sandbox. All three train in turn, round by round; the figures are the best round
of each. Without the prepared dataset random pixels take its place: they train as slowly.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms

from mlsbench import UserError
from mlsbench.harness.data import load
from mlsbench.harness.device import devices
from mlsbench.harness.images import PADDING, Images
from mlsbench.harness.models import build, initialize
from mlsbench.harness.oracle import Oracle
from mlsbench.harness.session import choose_sandbox, open_session
from mlsbench.harness.split import RunSeeds
from mlsbench.harness.step import MOMENTUM
from mlsbench.harness.trainer import train
from mlsbench.tasks import Dataset, Training, baseline_path, get_task, read_submission

TASK = "security-membership-inference-defense"


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
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    task = get_task(TASK)
    spec = task.spec.benchmarks[options.benchmark]
    dataset = task.spec.datasets[spec.dataset]
    device = torch.device(devices(options.device)[0])
    training = task.spec.training("paper", options.benchmark).model_copy(update={"epochs": 1})
    images, labels = _data(spec.dataset, dataset, options.batches * training.batch)
    bf16 = options.precision == "bf16"

    def model() -> nn.Module:
        made = build(spec.model, dataset.classes, dataset.shape[2])
        initialize(made, 0)
        return made.to(device)

    loops = {"plain PyTorch loop": _plain(model(), images, labels, dataset, training, bf16)}
    with tempfile.TemporaryDirectory() as folder:
        strongest = choose_sandbox("auto").name
        sessions = [open_session(task.spec, name, Path(folder) / "log") for name in ("inprocess", strongest)]
        with sessions[0] as inprocess, sessions[1] as isolated:
            for name, session in (("ours, in process", inprocess), (f"ours, {strongest}", isolated)):
                session.load(read_submission(baseline_path(TASK, "erm"), task).text)
                pictures = Images(torch.from_numpy(images), dataset.mean, dataset.std, device)
                ours = model().to(memory_format=torch.channels_last)
                loops[name] = _ours(ours, pictures, torch.from_numpy(labels), training, Oracle(session), bf16)
            rounds = [{name: next(loop) for name, loop in loops.items()} for _ in range(options.rounds + 1)][1:]
    best = {name: min(seconds[name] for seconds in rounds) for name in loops}  # the first round warmed up
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    print(f"{options.benchmark}, {options.precision}, {where}, {versions}\n")
    print("| loop | images/s | ms/step | against plain |\n|---|---|---|---|")
    for name, seconds in best.items():
        speed = f"{len(images) / seconds:,.0f} | {1000 * seconds / options.batches:.1f}"
        print(f"| {name} | {speed} | {best['plain PyTorch loop'] / seconds:.2f}× |")


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
    model: nn.Module, images: Images, labels: torch.Tensor, training: Training, oracle: Oracle, bf16: bool
) -> Iterator[float]:
    """Seconds of one epoch after the other."""
    while True:
        started = time.perf_counter()
        for _ in train(model, images, labels, training, RunSeeds(0, 1, 2), oracle, bf16):
            yield _elapsed(started, images.device)


def _elapsed(started: float, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
