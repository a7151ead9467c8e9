"""How much more one device trains when several jobs share it, each in a process of its own with its own worker.

    python benchmarks/packing.py [--benchmark resnet20-cifar10] [--jobs 1 2 4 8 16] [--seconds 10]

All jobs of a row train through the strongest sandbox for the same seconds, which begin when the last of them is ready.
"oracle" is the share of a job's time that it spent waiting for its worker. On a GPU the row of CUDA's multi-process
service, if a daemon runs (nvidia-cuda-mps-control -d), is the same command with it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from mlsbench.harness.device import devices

TASK = "security-membership-inference-defense"


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", default="resnet20-cifar10")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = devices(options.device)[0]
    where = torch.cuda.get_device_name() if device.startswith("cuda") else f"{os.cpu_count()} CPU cores"
    print(f"{options.benchmark}, {where}, torch {torch.__version__}\n")
    print(
        "| jobs | images/s in all | against one job | slowest job's share | oracle | MiB a job |\n" + "|---" * 6 + "|"
    )
    single = 0.0
    for jobs in options.jobs:
        results = _row(jobs, device, options.benchmark, options.seconds)
        speeds = [images / seconds for images, seconds, _, _ in results]
        single = single or sum(speeds) / jobs
        waited = sum(oracle / seconds for _, seconds, oracle, _ in results) / jobs
        memory = max(peak for *_, peak in results)
        print(f"| {jobs} | {sum(speeds):,.0f} | {sum(speeds) / single:.2f}× | {min(speeds) * jobs / sum(speeds):.0%} | "
              f"{waited:.0%} | {memory or '–'} |", flush=True)  # fmt: skip


def _row(jobs: int, device: str, benchmark: str, seconds: float) -> list[Any]:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(jobs), context.Queue()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    arguments = (device, benchmark, seconds, threads, barrier, results)
    processes = [context.Process(target=_train, args=arguments) for _ in range(jobs)]
    for process in processes:
        process.start()
    try:
        return [results.get(timeout=seconds + 300) for _ in processes]
    finally:
        for process in processes:
            process.join(60)


def _train(device: str, benchmark: str, seconds: float, threads: int, barrier: Any, results: Any) -> None:
    """Train until the time is up; images, seconds, seconds in the oracle, and MiB of the device."""
    from mlsbench.harness.exchange import LossExchange
    from mlsbench.harness.graphs import make_step
    from mlsbench.harness.images import Images
    from mlsbench.harness.models import build, initialize
    from mlsbench.harness.oracle import METHOD, Answer, Oracle
    from mlsbench.harness.session import choose_sandbox, open_session, wire_method
    from mlsbench.harness.split import RunSeeds
    from mlsbench.harness.trainer import train
    from mlsbench.tasks import baseline_path, get_task, read_submission

    torch.set_num_threads(threads)
    task = get_task(TASK)
    spec = task.spec.benchmarks[benchmark]
    dataset, training = task.spec.datasets[spec.dataset], task.spec.training("paper", benchmark)
    where = torch.device(device)
    pixels = torch.randint(0, 256, (4096, *dataset.shape), dtype=torch.uint8)
    labels = torch.randint(dataset.classes, (4096,))
    model = build(spec.model, dataset.classes, task.spec.image_shape(benchmark))
    initialize(model, 0)
    images = Images(pixels, dataset.mean, dataset.std, where)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(task.spec, choose_sandbox("auto").name, Path(folder) / "log") as session,
    ):
        session.load(read_submission(baseline_path(TASK, "erm"), task).text)
        oracle, steps, started, before = Oracle(session, wire_method(task.spec, METHOD)), 0, 0.0, 0.0

        def loss(logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> Answer:
            nonlocal steps, started, before
            if steps == 3:  # by now everything is allocated and recorded
                barrier.wait(300)
                started, before = time.perf_counter(), session.seconds
            steps += 1
            if steps > 4 and time.perf_counter() - started > seconds:
                raise TimeoutError
            return oracle(logits=logits, labels=labels, epoch=0)

        model = model.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
        try:
            exchange = LossExchange(make_step(model, images, training, where.type == "cuda"), loss)
            for _ in train(model, exchange, images, labels, training, RunSeeds(0, 1, 2)):
                pass
        except TimeoutError:
            took = time.perf_counter() - started
        peak = torch.cuda.max_memory_reserved() >> 20 if where.type == "cuda" else 0
        results.put(((steps - 4) * training.batch, took, session.seconds - before, peak))


if __name__ == "__main__":
    main()
