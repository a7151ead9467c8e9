"""One job from probe to record: train through the oracle, end the worker, then attack and judge."""

from __future__ import annotations

import csv
import io
import time

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from mlsbench.harness.exchange import CollapsedError, Exchange, LossExchange
from mlsbench.harness.graphs import make_step
from mlsbench.harness.images import Images
from mlsbench.harness.job import Report
from mlsbench.harness.measure import Measure
from mlsbench.harness.mixing import METHOD as MIX
from mlsbench.harness.mixing import Mixture
from mlsbench.harness.oracle import METHOD, Oracle
from mlsbench.harness.outcome import Outcome, Told, write_outcome
from mlsbench.harness.plan import Job
from mlsbench.harness.probe import probe
from mlsbench.harness.references import References
from mlsbench.harness.session import wire_method
from mlsbench.harness.set_exchange import SetExchange
from mlsbench.harness.split import reference_seed, run_seeds
from mlsbench.harness.step import EagerStep
from mlsbench.harness.subject import Subject, prepare
from mlsbench.harness.trainer import EpochStats, train
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.session import Session
from mlsbench.scoring.job_audit import NO_AUDIT, audit_job
from mlsbench.scoring.trained import kept_of
from mlsbench.scoring.verdict import Verdict, judge
from mlsbench.tasks import author_lines


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
        probe(probe_session, job.text, job.spec, _classes(job), job.training.epochs)
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


def _train(
    job: Job, subject: Subject, session: Session, curve: list[EpochStats], timing: dict[str, float],
    training: dict[str, Told], report: Report,
) -> Outcome:  # fmt: skip
    measure = Measure(job.measure, [metric.name for metric in job.spec.metrics])
    try:
        session.load(job.text)
        images, labels = subject.members()
        exchange, training["step"] = _exchange(job, subject, session, images, labels)
        seeds = run_seeds(job.key, job.setting.seed)
        for stats in train(subject.model, exchange, images, labels, job.training, seeds):
            started = time.monotonic()
            stats.measured = subject.curve_point(measure)
            timing["evaluate"] += time.monotonic() - started
            curve.append(stats)
            report(_news(curve, job.training.epochs))
        session.finish()
    except CandidateError as error:
        return Outcome("failed", f"failed in epoch {len(curve)}: {author_lines(str(error), job.shift)}")
    except CollapsedError as error:
        session.close()
        return Outcome("collapsed", f"collapsed: {error}", _broken_metrics(measure, subject.test_acc()))
    session.close()  # the candidate is gone before anybody measures
    started = time.monotonic()
    outcome = _judge(job, subject, measure, curve)
    timing["evaluate"] += time.monotonic() - started
    return outcome


def _exchange(job: Job, subject: Subject, session: Session, images: Images, labels: Tensor) -> tuple[Exchange, str]:
    """What trains on `images` with `labels` as the contract wants it, and how a step is done."""
    spec, model, bf16 = job.spec, subject.model, job.setting.precision == "bf16"
    oracle = Oracle(session, wire_method(spec, METHOD))
    if spec.plain:
        step = make_step(model, images, job.training, bf16)
        return LossExchange(step, oracle), step.name
    eager = EagerStep(model, images, job.training, bf16)
    mixture = Mixture(session, wire_method(spec, MIX)) if MIX in spec.contract.methods else None
    seed = reference_seed(job.key, job.setting.seed)
    references = References(*subject.references(), labels, seed) if spec.parts == 3 else None
    return SetExchange(model, eager, images, mixture, references, oracle), eager.name


def _broken_metrics(measure: Measure, test_acc: float) -> dict[str, float | None]:
    """What is known of a model whose numbers are not finite: its test accuracy; all other metrics are null."""
    return {name: test_acc if name == "test_acc" else None for name in measure.names}


def _news(curve: list[EpochStats], epochs: int) -> dict[str, float]:
    left = curve[-1].seconds * (epochs - len(curve))
    return {"epoch": len(curve), "epochs": epochs, "test_acc": curve[-1].measured["test_acc"], "left_seconds": left}


def _judge(job: Job, subject: Subject, measure: Measure, curve: list[EpochStats]) -> Outcome:
    """The verdict on the trained model, its metrics and audit, and the files to keep."""
    model, validity = subject.trained(), job.spec.validity
    verdict = judge(
        model.test_logits, model.test_labels, chance_factor=validity.chance_factor, sigmas=validity.sigmas,
        max_class_share=validity.max_class_share,
    )  # fmt: skip
    audit = NO_AUDIT
    if model.finite:
        metrics = measure(model)
        if job.spec.audited:
            audit = audit_job(model, [stats.measured["mia_auc"] for stats in curve])
    else:
        metrics = _broken_metrics(measure, model.test_acc)
        verdict = Verdict("collapsed", "collapsed: the trained model's logits are not finite")
    scores = io.BytesIO()
    np.savez(scores, **kept_of(model))  # type: ignore[arg-type]
    weights = save({k: v.detach().cpu().contiguous() for k, v in subject.model.state_dict().items()})
    files = {"scores.npz": scores.getvalue(), "weights.safetensors": weights}
    return Outcome(verdict.status, verdict.reason, metrics, audit, files)


def _write(
    job: Job, outcome: Outcome, curve: list[EpochStats], timing: dict[str, float], training: dict[str, Told]
) -> None:
    outcome.files["curve.csv"] = _curve_csv(curve)
    batches = sum(e.batches for e in curve)
    training |= {"epochs": len(curve), "batches": batches}
    if job.device.startswith("cuda"):
        training["peak_mib"] = torch.cuda.max_memory_reserved(job.device) >> 20
    if batches:
        training["zero_gradient_share"] = sum(e.zero_gradients for e in curve) / batches
        training["images_per_second"] = job.member_count * len(curve) / timing["train"]
    write_outcome(job, outcome, timing, training)


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


def _classes(job: Job) -> int:
    return job.spec.datasets[job.spec.benchmarks[job.setting.benchmark].dataset].classes
