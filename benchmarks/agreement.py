"""Whether a faster way to train gives the same numbers: paired differences over seeds of the same jobs.

    python benchmarks/agreement.py precision|graphs|packed [--benchmark resnet20-digits] [--seeds 6]

`precision` compares bf16 with fp32, `graphs` CUDA graphs with the plain step, `packed` four jobs that share the device
with the same jobs alone. Protocol smoke, baseline erm, the loss in process; a row for each metric: the mean difference
over seeds, the half width of its 95 % t-interval, and the largest difference of a seed. The mean may be 0.005.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import torch
from scipy import stats

from mlsbench.harness.device import devices
from mlsbench.harness.exchange import LossExchange
from mlsbench.harness.graphs import GraphedStep
from mlsbench.harness.oracle import METHOD, Oracle
from mlsbench.harness.plan import Machine, plan
from mlsbench.harness.session import wire_contract, wire_method
from mlsbench.harness.split import read_key, run_seeds
from mlsbench.harness.step import EagerStep
from mlsbench.harness.subject import prepare
from mlsbench.harness.trainer import train
from mlsbench.harness.variant import variant
from mlsbench.sandbox.inprocess import InProcessSession
from mlsbench.scoring.membership import membership_metrics
from mlsbench.scoring.record import Entry
from mlsbench.tasks import baseline_path, get_task, read_submission

TASK = "security-membership-inference-defense"
LIMIT = 0.005
PACKED = 4


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["precision", "graphs", "packed"])
    parser.add_argument("--benchmark", default="resnet20-digits")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = devices(options.device)[0]
    if options.what == "graphs" and device == "cpu":
        raise SystemExit("graphs are for CUDA, and there is no such device here")
    cuda = device != "cpu"
    usual = "bf16" if cuda else "fp32"
    ways = {
        "precision": {"fp32": ("fp32", cuda, 1), "bf16": ("bf16", cuda, 1)},
        "graphs": {"plain": (usual, False, 1), "graphs": (usual, True, 1)},
        "packed": {"alone": (usual, cuda, 1), "packed": (usual, cuda, PACKED)},
    }[options.what]
    results = {}
    for name, (precision, graphs, jobs) in ways.items():
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            futures = [
                pool.submit(_metrics, options.benchmark, 42 + i, device, precision, graphs)
                for i in range(options.seeds)
            ]
            results[name] = [future.result() for future in futures]
    first, second = results
    print(f"{options.benchmark}, {second} minus {first}, {options.seeds} seeds, {device}, torch {torch.__version__}\n")
    print(f"| metric | {first} | {second} | mean difference | ± | largest | at most {LIMIT} |\n" + "|---" * 7 + "|")
    for metric in ("test_acc", "mia_auc"):
        pairs = [(a[metric], b[metric]) for a, b in zip(*results.values(), strict=True)]
        differences = [b - a for a, b in pairs]
        mean = statistics.mean(differences)
        width = stats.t.ppf(0.975, len(pairs) - 1) * statistics.stdev(differences) / math.sqrt(len(pairs))
        means = " | ".join(f"{statistics.mean(column):.4f}" for column in zip(*pairs, strict=True))
        verdict = "yes" if abs(mean) <= LIMIT else "no"
        print(f"| {metric} | {means} | {mean:+.4f} | {width:.4f} | {max(map(abs, differences)):.4f} | {verdict} |")


def _metrics(
    benchmark: str, seed: int, device: str, precision: Literal["fp32", "bf16"], graphs: bool
) -> dict[str, float]:
    """The metrics of one training; one thread, so that as many as there are cores disturb each other little."""
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    task = get_task(TASK)
    submission = read_submission(baseline_path(TASK, "erm"), task)
    entry = Entry(name="erm", type="baseline", submission=submission.sha256)
    machine = Machine("inprocess", device.partition(":")[0], precision, 1)
    with tempfile.TemporaryDirectory() as folder:
        (job,) = plan(
            task, submission, entry, variant(task.spec, "smoke"), machine, read_key("public"), Path(folder),
            [benchmark], [seed],
        )  # fmt: skip
    subject = prepare(job)
    session = InProcessSession(wire_contract(task.spec))
    session.load(job.text)
    images, labels = subject.members()
    step = (GraphedStep if graphs else EagerStep)(subject.model, images, job.training, precision == "bf16")
    exchange = LossExchange(step, Oracle(session, wire_method(task.spec, METHOD)))
    for _ in train(subject.model, exchange, images, labels, job.training, run_seeds(job.key, seed)):
        pass
    model = subject.trained()
    return membership_metrics(model.pool_logits, model.member, model.test_logits, model.test_labels)


if __name__ == "__main__":
    main()
