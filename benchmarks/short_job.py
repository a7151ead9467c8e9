"""The process of a job without its training, for what happens around jobs, of which that takes many.

    python benchmarks/short_job.py [SECONDS] < job

All but `run` is the real one's: it takes the job on standard input, ends with that, sends news of epochs, of SECONDS
each, and writes whole files, the record last. The numbers follow from the job's seed alone.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import mlsbench.harness.job
from mlsbench.harness.job import Report
from mlsbench.harness.plan import Job
from mlsbench.scoring.record import Record, write_record, write_whole

FILES = ("submission.py", "curve.csv", "scores.npz", "weights.safetensors")
SECONDS = float(sys.argv.pop(1)) if len(sys.argv) > 1 else 0.1


def run(job: Job, report: Report, started: float, delegate: object = None) -> None:
    """Sleep, tell, and write what a job leaves."""
    job.folder.mkdir(parents=True, exist_ok=True)
    place = {"process": os.getpid(), "raylet": int(os.environ.get("RAY_RAYLET_PID", 0))}
    for epoch in range(1, job.training.epochs + 1):
        time.sleep(SECONDS)
        report({"epoch": epoch, "epochs": job.training.epochs, "test_acc": 0.5, "left_seconds": 0.0, **place})
    for name in FILES:
        write_whole(job.folder / name, f"{name} of seed {job.setting.seed}".encode() * 1000)
    score = (job.setting.seed * 7919 % 1000) / 1000
    record = Record(
        job_key=job.setting.job_key(job.entry.submission), entry=job.entry, setting=job.setting, status="scored",
        metrics={metric.name: score for metric in job.spec.metrics}, attempts=job.attempt,
        timing={"began": born()}, created=datetime.now(UTC),
        environment={
            "raylet": place["raylet"], "key_bytes": len(job.key),
            "device": os.environ.get("CUDA_VISIBLE_DEVICES") or job.device,
        },
    )  # fmt: skip
    write_record(job.folder, record)
    report({"epoch": epoch, "epochs": epoch, "test_acc": 0.5, "left_seconds": 0.0, **place, "ended": time.time()})
    os._exit(0)  # that moment


def born() -> float:
    """When this process began, in seconds of the clock, to a hundredth."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age


if __name__ == "__main__":
    mlsbench.harness.job.run = run
    mlsbench.harness.job.main()
