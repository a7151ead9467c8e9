"""One attack from probe to record: what was trained before is read, asked about in secret order, and judged."""

from __future__ import annotations

import hashlib
import io
import time
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlsbench import UserError
from mlsbench.harness.attacker import Attacker
from mlsbench.harness.data import Prepared, load
from mlsbench.harness.job import Report
from mlsbench.harness.measure import Measure
from mlsbench.harness.outcome import Outcome, Told, write_outcome
from mlsbench.harness.plan import Job
from mlsbench.harness.probe import probe
from mlsbench.harness.split import membership, secret_order
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.session import Session
from mlsbench.scoring.archive import MOST_BYTES, read_arrays
from mlsbench.scoring.attacked import attack_kept
from mlsbench.scoring.kept import SCORES
from mlsbench.scoring.record import read_whole
from mlsbench.tasks import author_lines


class Model(NamedTuple):
    """What an attack is told of a trained model, or judged by: logits float32 [N, K], member bool [N]."""

    logits: NDArray[np.float32]
    member: NDArray[np.bool_]
    digest: str  # SHA-256 of the file that holds them


def execute(job: Job, probe_session: Session, session: Session, report: Report, started: float) -> None:
    """Run the attack `job` with a fresh session for the probe and one for the attack; its record is written last."""
    job = job.model_copy(update={"device": "cpu"})
    torch.set_num_threads(job.threads)
    timing: dict[str, float] = {}
    training: dict[str, Told] = {}
    benchmark = job.spec.benchmarks[job.setting.benchmark]
    dataset = job.spec.datasets[benchmark.dataset]
    try:
        probe(probe_session, job.text, job.spec, dataset.classes, job.training.epochs)
    except CandidateError as error:
        outcome = Outcome("rejected", f"rejected: {author_lines(str(error), job.shift)}")
    else:
        probe_session.close()
        pool = load(benchmark.dataset, dataset, job.data, job.members)
        target, *references = (_read(model, job.key, pool, dataset.classes) for model in job.models)
        for model, read in zip(job.models, (target, *references), strict=True):
            training[f"{'target' if read is target else 'reference'}-{model.setting.seed}"] = read.digest
        timing["start"] = time.monotonic() - started
        outcome = _attack(job, session, pool, target, references)
        timing["attack"] = session.seconds
    timing["total"] = time.monotonic() - started
    write_outcome(job, outcome, timing, training)


def _read(model: Job, key: bytes, pool: Prepared, classes: int) -> Model:
    """What the job `model` kept. UserError if that is not a model of its seed."""
    path = model.folder / SCORES
    try:
        digest = hashlib.sha256(read_whole(path, MOST_BYTES)).hexdigest()
        arrays = read_arrays(path, ("train_logits", "member"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be attacked: {error}. Remove its folder and run the attack again.") from error
    logits, member = arrays["train_logits"], arrays["member"]
    right = logits.dtype == np.float32 and logits.shape == (len(pool.train_keys), classes)
    if not right or not np.isfinite(logits).all():
        raise UserError(f"{path} holds no logits of this pool. Remove its folder and run the attack again.")
    if member.dtype != np.bool_ or not np.array_equal(member, membership(key, model.setting.seed, pool.train_keys)):
        raise UserError(f"{path} has other members than its seed. Remove its folder and run the attack again.")
    return Model(logits, member, digest)


def _attack(job: Job, session: Session, pool: Prepared, target: Model, references: list[Model]) -> Outcome:
    order = secret_order(job.key, job.setting.benchmark, job.setting.seed, pool.train_keys)
    labels = torch.from_numpy(pool.train_labels[order])
    try:
        session.load(job.text)
        attacker = Attacker(session, job.spec)
        attacker.fit(
            _stacked([m.logits[order] for m in references]), labels,
            _stacked([m.member[order].astype(np.int64) for m in references]),
        )  # fmt: skip
        given = attacker.score(torch.from_numpy(target.logits[order]), labels).numpy()
        session.finish()
    except CandidateError as error:
        return Outcome("failed", f"failed: {author_lines(str(error), job.shift)}")
    session.close()  # the candidate is gone before anybody judges
    scores = np.empty_like(given)
    scores[order] = given
    measure = Measure(job.measure, [metric.name for metric in job.spec.metrics])
    arrays, file = {"scores": scores, "member": target.member}, io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return Outcome("scored", metrics=measure(attack_kept(arrays)), files={SCORES: file.getvalue()})


def _stacked(arrays: list[NDArray[np.float32]] | list[NDArray[np.int64]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
