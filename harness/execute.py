"""One job from probe to record: train through the oracle, end the worker, then attack and judge."""

from __future__ import annotations

import csv
import io
import math
import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from mlsbench.harness.canaries import mislabel
from mlsbench.harness.data import Prepared, enlarge, load
from mlsbench.harness.graphs import make_step
from mlsbench.harness.images import Images
from mlsbench.harness.job import Report
from mlsbench.harness.models import build, initialize
from mlsbench.harness.oracle import Oracle
from mlsbench.harness.plan import Job
from mlsbench.harness.probe import probe
from mlsbench.harness.split import membership, run_seeds
from mlsbench.harness.trainer import CollapsedError, EpochStats, predict, train
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.lock import landlock_version
from mlsbench.sandbox.session import Session
from mlsbench.scoring.attacks import Outputs
from mlsbench.scoring.canaries import canary_numbers
from mlsbench.scoring.job_audit import NO_AUDIT, JobAudit, audit_job
from mlsbench.scoring.membership import accuracy, confidence, confidence_order, membership_auc, membership_metrics
from mlsbench.scoring.record import Record, Status, write_record, write_whole
from mlsbench.scoring.verdict import Verdict, judge
from mlsbench.tasks import author_lines

CURVE_EXAMPLES = 1000

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Told = float | int | str | None


@dataclass
class Outcome:
    """How a job ended, and what it leaves."""

    status: Status
    reason: str = ""
    metrics: dict[str, float | None] = field(default_factory=dict)
    audit: JobAudit = NO_AUDIT
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Subject:
    """The model under training and the data around it; at a canary, `pool_labels` is wrong."""

    model: nn.Module
    pool: Images
    pool_labels: Tensor
    member: Mask
    canary: Mask
    test: Images
    test_labels: Tensor

    def curve_point(self) -> dict[str, float]:
        """Accuracies, mia_auc and privacy_gap on the first 1,000 examples of each kind, which never change.

        Canaries are not among them, as in the job's metrics.
        """
        kinds = (self.member, ~self.member)
        chosen = [np.flatnonzero(kind & ~self.canary)[:CURVE_EXAMPLES] for kind in kinds]
        index = torch.from_numpy(np.concatenate(chosen))
        logits = predict(self.model, self.pool, index).numpy()
        tested = slice(0, CURVE_EXAMPLES)
        test_logits = predict(self.model, self.test, torch.arange(len(self.test))[tested]).numpy()
        split, labels = len(chosen[0]), self.pool_labels[index].numpy()
        point = {
            "test_acc": accuracy(test_logits, self.test_labels[tested].numpy()),
            "member_acc": accuracy(logits[:split], labels[:split]),
            "non_member_acc": accuracy(logits[split:], labels[split:]),
            "mia_auc": math.nan,
            "privacy_gap": math.nan,
        }
        if np.isfinite(logits).all():
            scores = confidence(logits)
            point["mia_auc"] = membership_auc(confidence_order(logits), self.member[index.numpy()])
            point["privacy_gap"] = float(scores[:split].mean() - scores[split:].mean())
        return point


def execute(job: Job, probe_session: Session, session: Session, report: Report, started: float) -> None:
    """Run `job` with a fresh session for the probe and one for the training, write its files and, last, its record."""
    torch.set_num_threads(job.threads)
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32, on a GPU's convolutions too
    if job.deterministic:
        torch.use_deterministic_algorithms(True)
    timing: dict[str, float] = {}
    training: dict[str, Told] = {}
    curve: list[EpochStats] = []
    try:
        probe(probe_session, job.text, job.spec.datasets[_dataset(job)].classes, job.training.epochs)
    except CandidateError as error:
        outcome = Outcome("rejected", f"rejected: {author_lines(str(error), job.shift)}")
    else:
        probe_session.close()
        subject = prepare(job)
        timing |= {"start": time.monotonic() - started, "evaluate": 0.0}
        outcome = _train(job, subject, session, curve, timing, training, report)
        timing["train"] = sum(e.seconds for e in curve)
        timing["oracle"] = session.seconds
    timing["total"] = time.monotonic() - started
    _write(job, outcome, curve, timing, training)


def prepare(job: Job) -> Subject:
    """Data, split and a freshly initialized model on the job's device, as the job's key and seed decide."""
    device = torch.device(job.device)
    name = _dataset(job)
    dataset, size = job.spec.datasets[name], job.spec.benchmarks[job.setting.benchmark].size
    data: Prepared = load(name, dataset, job.data, job.members)

    def images(pixels: Any) -> Images:
        return Images(torch.from_numpy(enlarge(pixels, size)), dataset.mean, dataset.std, device)

    model = build(job.spec.benchmarks[job.setting.benchmark].model, dataset.classes, dataset.shape[2])
    initialize(model, run_seeds(job.key, job.setting.seed).init)
    labels, canary = mislabel(job.key, data.train_keys, data.train_labels, dataset.classes, job.canaries)
    return Subject(
        model.to(device).to(memory_format=torch.channels_last),
        images(data.train_images),
        torch.from_numpy(labels),
        membership(job.key, job.setting.seed, data.train_keys),
        canary,
        images(data.test_images),
        torch.from_numpy(data.test_labels),
    )


def _train(
    job: Job, subject: Subject, session: Session, curve: list[EpochStats], timing: dict[str, float],
    training: dict[str, Told], report: Report,
) -> Outcome:  # fmt: skip
    members = torch.from_numpy(np.flatnonzero(subject.member))
    seeds = run_seeds(job.key, job.setting.seed)
    try:
        session.load(job.text)
        images, labels = subject.pool.subset(members), subject.pool_labels[members]
        step = make_step(subject.model, images, job.training, job.setting.precision == "bf16")
        training["step"] = step.name
        for stats in train(subject.model, step, images, labels, job.training, seeds, Oracle(session)):
            started = time.monotonic()
            stats.measured = subject.curve_point()
            timing["evaluate"] += time.monotonic() - started
            curve.append(stats)
            report(_news(curve, job.training.epochs))
        session.finish()
    except CandidateError as error:
        return Outcome("failed", f"failed in epoch {len(curve)}: {author_lines(str(error), job.shift)}")
    except CollapsedError as error:
        session.close()
        logits = predict(subject.model, subject.test).numpy()
        return Outcome("collapsed", f"collapsed: {error}", _broken_metrics(job, subject, logits))
    session.close()  # the candidate is gone before anybody measures
    started = time.monotonic()
    outcome = _attack(job, subject, [stats.measured["mia_auc"] for stats in curve])
    timing["evaluate"] += time.monotonic() - started
    return outcome


def _broken_metrics(job: Job, subject: Subject, test_logits: Any) -> dict[str, float | None]:
    """What is known of a model whose numbers are not finite: its test accuracy; all other metrics are null."""
    metrics: dict[str, float | None] = dict.fromkeys((m.name for m in job.spec.metrics), None)
    metrics["test_acc"] = accuracy(test_logits, subject.test_labels.numpy())
    return metrics


def _news(curve: list[EpochStats], epochs: int) -> dict[str, float]:
    left = curve[-1].seconds * (epochs - len(curve))
    return {"epoch": len(curve), "epochs": epochs, "test_acc": curve[-1].measured["test_acc"], "left_seconds": left}


def _attack(job: Job, subject: Subject, mia_auc_by_epoch: list[float]) -> Outcome:
    train_logits, test_logits = (predict(subject.model, i).numpy() for i in (subject.pool, subject.test))
    test_labels, validity = subject.test_labels.numpy(), job.spec.validity
    verdict = judge(
        test_logits, test_labels, chance_factor=validity.chance_factor, sigmas=validity.sigmas,
        max_class_share=validity.max_class_share,
    )  # fmt: skip
    audit = NO_AUDIT
    if np.isfinite(train_logits).all() and np.isfinite(test_logits).all():
        model = Outputs(train_logits, subject.pool_labels.numpy(), subject.member)
        honest = model.take(np.flatnonzero(~subject.canary))
        metrics: dict[str, float | None] = dict(
            membership_metrics(honest.logits, honest.member, test_logits, test_labels)
        )
        audit = audit_job(honest, accuracy(test_logits, test_labels), mia_auc_by_epoch)
        audit = audit._replace(numbers=audit.numbers | canary_numbers(model, subject.canary))
    else:
        metrics = _broken_metrics(job, subject, test_logits)
        verdict = Verdict("collapsed", "collapsed: the trained model's logits are not finite")
    scores = io.BytesIO()
    wrong: dict[str, Any] = {"canary": subject.canary, "labels": subject.pool_labels.numpy()}
    more = wrong if subject.canary.any() else {}
    np.savez(scores, train_logits=train_logits, test_logits=test_logits, member=subject.member, **more)
    weights = save({k: v.detach().cpu().contiguous() for k, v in subject.model.state_dict().items()})
    files = {"scores.npz": scores.getvalue(), "weights.safetensors": weights}
    return Outcome(verdict.status, verdict.reason, metrics, audit, files)


def _write(
    job: Job, outcome: Outcome, curve: list[EpochStats], timing: dict[str, float], training: dict[str, Told]
) -> None:
    files = {"submission.py": job.submission, "curve.csv": _curve_csv(curve), **outcome.files}
    for name, data in files.items():
        write_whole(job.folder / name, data)
    batches = sum(e.batches for e in curve)
    members = job.members or job.spec.datasets[_dataset(job)].train // 2
    training |= {"epochs": len(curve), "batches": batches}
    if job.device.startswith("cuda"):
        training["peak_mib"] = torch.cuda.max_memory_reserved(job.device) >> 20
    if batches:
        training["zero_gradient_share"] = sum(e.zero_gradients for e in curve) / batches
        training["images_per_second"] = members * len(curve) / timing["train"]
    record = Record(
        job_key=job.setting.job_key(job.entry.submission), entry=job.entry, setting=job.setting,
        status=outcome.status, reason=outcome.reason, metrics=outcome.metrics, audit=dict(outcome.audit.numbers),
        findings=outcome.audit.findings, attempts=job.attempt, training=training, timing=timing,
        environment=_environment(job), created=datetime.now(UTC),
    )  # fmt: skip
    write_record(job.folder, record)


def _curve_csv(curve: list[EpochStats]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    fixed = ("epoch", "lr", "loss", "gradient_norm", "zero_gradients", "batches", "seconds")
    measured = tuple(curve[0].measured) if curve else ()
    rows.writerow((*fixed, *measured))
    for stats in curve:
        values = [getattr(stats, name) for name in fixed] + [stats.measured[name] for name in measured]
        rows.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])
    return text.getvalue().encode()


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


def _dataset(job: Job) -> str:
    return job.spec.benchmarks[job.setting.benchmark].dataset
