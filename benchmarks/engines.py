"""How well engines keep devices busy, and what a large plan costs its driver.

    python benchmarks/engines.py [--engines local ray] [--jobs 200] [--seconds 5] [--gpus 8] [--plan 10000]

Jobs that sleep (short_job.py) run on logical GPUs, one each, with Ray on a cluster of its own cluster utility. A GPU is
busy from the birth to the end of a job's process, and free from then to the birth of the next one. The last wave, when
no job waits any more, does not count. The plan's jobs are planned and looked up in an empty folder of records, and once
more when all of them are finished.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from mlsbench.harness.engine import Engine, Event
from mlsbench.harness.local import LocalEngine
from mlsbench.harness.plan import Job, Machine, plan
from mlsbench.harness.split import read_key
from mlsbench.harness.variant import variant
from mlsbench.scoring.record import RECORD_FILE, Entry, Record, Stored
from mlsbench.tasks import get_task, read_submission

TASK = get_task("security-membership-inference-defense")
BENCHMARK = "resnet20-digits"
SEEDS = 10  # of each entry


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", nargs="+", choices=("local", "ray"), default=["local", "ray"])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--plan", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print("| jobs planned | ms a job | KiB a job | ms a job, all finished |\n|---|---|---|---|")
        print(f"| {options.plan:,} | {' | '.join(planning(Path(name) / 'plan', options.plan))} |\n", flush=True)
        print("| engine | busy | from free to next start, ms: median | 95 % | worst | s in all |\n" + "|---" * 6 + "|")
        for which in options.engines:
            jobs = make_jobs(Path(name) / which, options.jobs)
            started = time.monotonic()
            ended: dict[Path, float] = {}

            def hear(event: Event, ended: dict[Path, float] = ended) -> None:
                if "ended" in event.data:
                    ended[event.job.folder / RECORD_FILE] = event.data["ended"]

            stored = engine(which, options.gpus, options.seconds).run(jobs, hear)
            took = time.monotonic() - started
            print(f"| {which} | {' | '.join(occupation(stored, ended, options.gpus))} | {took:.1f} |", flush=True)


def make_jobs(runs: Path, count: int) -> list[Job]:
    """`count` jobs of one epoch, ten seeds an entry, each for a GPU of its own."""
    candidate = read_submission(TASK.path / TASK.spec.contract.file, TASK)
    machine = Machine(
        sandbox="process", device_kind="cuda", precision="fp32", threads=1, shares={BENCHMARK: 1.0}
    )  # fmt: skip
    chosen, key = variant(TASK.spec, "smoke", ("epochs=1",)), read_key("public")
    jobs: list[Job] = []
    for number in range(-(-count // SEEDS)):
        entry = Entry(name=f"entry {number}", type="vanilla", submission=candidate.sha256)
        jobs += plan(TASK, candidate, entry, chosen, machine, key, runs, [BENCHMARK], range(SEEDS))
    return jobs[:count]


def engine(which: str, gpus: int, seconds: float) -> Engine:
    """The engine on `gpus` logical GPUs, with jobs that sleep."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("short_job.py")), str(seconds)]
    if which == "local":
        return LocalEngine([f"cuda:{number}" for number in range(gpus)], gpus, command)
    from ray.cluster_utils import Cluster

    from mlsbench.harness.ray_engine import RayEngine

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": gpus, "num_gpus": gpus, "include_dashboard": False}
    )
    os.environ["RAY_ADDRESS"] = cluster.address
    return RayEngine(command=command)


def occupation(stored: list[Stored], ended: dict[Path, float], gpus: int) -> list[str]:
    """The share of time that GPUs were busy until the last job began, and how long one was free between two jobs."""
    spans: dict[object, list[tuple[float, float]]] = {}
    for one in stored:
        spans.setdefault(one.record.environment["device"], []).append((one.record.timing["began"], ended[one.path]))
    assert len(spans) == gpus, f"jobs ran on {sorted(map(str, spans))}"
    every = [span for mine in spans.values() for span in mine]
    first, last = min(every)[0], max(every)[0]
    busy = sum(min(end, last) - begin for begin, end in every) / (gpus * (last - first))
    free: list[float] = []
    for mine in spans.values():
        mine.sort()
        free += [(after[0] - before[1]) * 1000 for before, after in pairwise(mine)]
    quantiles = statistics.quantiles(free, n=20)
    return [f"{busy:.1%}", f"{statistics.median(free):.0f}", f"{quantiles[-1]:.0f}", f"{max(free):.0f}"]


def planning(runs: Path, count: int) -> list[str]:
    """Milliseconds and KiB a job to plan `count` of them and see that none is finished, and when all are."""
    make_jobs(runs, 1)  # what is read but once
    before, started = resident(), time.process_time()
    jobs = make_jobs(runs, count)
    assert not any(job.finished() for job in jobs)
    cost = [(time.process_time() - started) * 1000 / count, (resident() - before) / count]
    for job in jobs:
        job.folder.mkdir(parents=True)
        record = Record(
            job_key=job.setting.job_key(job.entry.submission), entry=job.entry, setting=job.setting, status="scored",
            metrics={metric.name: 0.5 for metric in TASK.spec.metrics}, created=datetime.now(UTC),
        )  # fmt: skip
        (job.folder / RECORD_FILE).write_text(record.model_dump_json(indent=2))
    started = time.process_time()
    assert all(job.finished() for job in make_jobs(runs, count))
    again = (time.process_time() - started) * 1000 / count
    return [f"{cost[0]:.2f}", f"{cost[1]:.1f}", f"{again:.2f}"]


def resident() -> int:
    """The most memory that this process has had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
