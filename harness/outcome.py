"""How a job ended, and its record: the last that is written of a job."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime

import torch

from mlsbench.harness.plan import Job
from mlsbench.sandbox.lock import landlock_version
from mlsbench.scoring.job_audit import NO_AUDIT, JobAudit
from mlsbench.scoring.record import Record, Status, write_record, write_whole

Told = float | int | str | None


@dataclass
class Outcome:
    """How a job ended, and what it leaves."""

    status: Status
    reason: str = ""
    metrics: dict[str, float | None] = field(default_factory=dict)
    audit: JobAudit = NO_AUDIT
    files: dict[str, bytes] = field(default_factory=dict)


def write_outcome(job: Job, outcome: Outcome, timing: dict[str, float], training: dict[str, Told]) -> None:
    """Write the submission, the outcome's files and then the record into the job's folder."""
    for name, data in {"submission.py": job.submission, **outcome.files}.items():
        write_whole(job.folder / name, data)
    record = Record(
        job_key=job.setting.job_key(job.entry.submission), entry=job.entry, setting=job.setting,
        status=outcome.status, reason=outcome.reason, metrics=outcome.metrics, audit=dict(outcome.audit.numbers),
        findings=outcome.audit.findings, attempts=job.attempt, training=training, timing=timing,
        environment=_environment(job), created=datetime.now(UTC),
    )  # fmt: skip
    write_record(job.folder, record)


def _environment(job: Job) -> dict[str, str | int | float | None]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(job.device) if job.device.startswith("cuda") else platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),  # which decides what kernels a CPU runs, and so the last bits
        "threads": job.threads,
        "deterministic": int(job.deterministic),
        "landlock": landlock_version(),
        "runtime": job.runtime,
    }
