"""The audit of one entry on one benchmark from the files that its jobs kept; what `audit` and `report` share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import typer

from mlsbench import UserError
from mlsbench.harness.data import Prepared, load
from mlsbench.harness.variant import Variant
from mlsbench.scoring import Stored, clean, write_whole
from mlsbench.scoring.attacks import Outputs, Scores
from mlsbench.scoring.audit import Kept, audit_entry
from mlsbench.scoring.audit_document import AUDIT_FILE, Audit
from mlsbench.scoring.export import export_scores
from mlsbench.scoring.job_audit import FEWEST
from mlsbench.scoring.kept import WEIGHTS, read_curve, read_scores
from mlsbench.scoring.record import MOST_BYTES, read_whole
from mlsbench.scoring.trained import Trained
from mlsbench.tasks import Task


class NothingToAuditError(UserError):
    """No job of an entry and benchmark kept what attacks need."""


def require_audited(spec: Task) -> None:
    """Raises UserError unless an audit has something to say about the task."""
    if not spec.audited:
        raise UserError(f"{spec.id} has no metric mia_auc, which audit and report are about; see `mlsbench table`")


class Auditor:
    """Audits jobs of one protocol `variant`; each dataset is read once.

    seeds: of the models to attack, the protocol's without any, or all if none of these is kept; models of other seeds
        are references only. gradients: the device on which to attack by gradients, too.
    """

    def __init__(self, spec: Task, variant: Variant, seeds: Sequence[int] = (), gradients: str | None = None) -> None:
        self._spec, self._variant, self._seeds, self._gradients = spec, variant, seeds, gradients
        self._data: dict[str, Prepared] = {}

    def audit(self, jobs: Sequence[Stored], export: Path | None = None) -> Audit:
        """The audit of one entry's `jobs` on one benchmark, written beside their folders.

        NothingToAuditError, saying why, if nothing is kept; UserError if the data are missing or others than the jobs'.
        """
        folder = jobs[0].path.parent.parent
        label = clean(f"{jobs[0].record.entry.name}, {folder.name}", 300)
        given = self._spec.datasets[self._spec.benchmarks[jobs[0].record.setting.benchmark].dataset]
        data = self._prepared(jobs[0].record.setting.benchmark)
        if any(one.record.setting.data != data.whole for one in jobs):
            raise UserError(f"{label}: these records were made with other data than the {data.name} prepared here")
        kept, missing = _kept(jobs, data, given.classes)
        audited = kept.keys() & (self._seeds or self._variant.seeds) or (set() if self._seeds else kept.keys())
        if not audited:
            raise NothingToAuditError(f"{label}: nothing to audit: {self._why(missing)}")
        for one in jobs:
            if (seed := one.record.setting.seed) in audited:
                kept[seed] = replace(kept[seed], white_box=self._white_box(one, data, kept[seed].pool))
        done = audit_entry(kept, missing, audited)
        try:
            write_whole(folder / AUDIT_FILE, done.model_dump_json(indent=1).encode() + b"\n")
            typer.echo(clean(f"{label}: {folder / AUDIT_FILE}", 1000), err=True)
            if export is not None:
                export_scores(export / folder.parent.name / folder.name, kept, data.test_labels)
        except OSError as error:
            named = error.filename2 or error.filename or folder  # of a rename the second is the file that is meant
            raise UserError(f"{label}: cannot write {named}: {error.strerror or error}") from None
        return done

    def _why(self, missing: Mapping[str, str]) -> str:
        """Why none of the seeds that were asked for is kept, or none at all."""
        asked = [f"seed {seed}" for seed in self._seeds if f"seed {seed}" in missing] if self._seeds else missing
        return "; ".join(missing[seed] for seed in asked) or f"seed {', '.join(map(str, self._seeds))} is not kept"

    def _prepared(self, benchmark: str) -> Prepared:
        name = self._spec.benchmarks[benchmark].dataset
        if name not in self._data:
            self._data[name] = load(name, self._spec.datasets[name], None, self._variant.members, self._spec.parts)
        return self._data[name]

    def _white_box(self, job: Stored, data: Prepared, model: Outputs) -> Mapping[str, Scores | str]:
        """Scores of attacks that see the weights; in their place the reason if those are unfit."""
        if self._gradients is None:
            return {}
        from mlsbench.harness.white_box import ATTACKS, gradient_attacks  # torch takes a second to import

        setting, weights = job.record.setting, job.path.with_name(WEIGHTS)
        typer.echo(f"gradients of {setting.benchmark}, seed {setting.seed}", err=True)
        architecture = setting.model or self._spec.model(setting.benchmark)
        try:
            return gradient_attacks(weights, self._spec, setting.benchmark, architecture, data, model, self._gradients)
        except UserError as error:
            return dict.fromkeys(ATTACKS, str(error))


def _kept(jobs: Sequence[Stored], data: Prepared, classes: int) -> tuple[dict[int, Kept], dict[str, str]]:
    """What can be audited, by seed, and why the rest cannot."""
    kept: dict[int, Kept] = {}
    missing = {}
    for one in jobs:
        record, folder = one.record, one.path.parent
        seed = record.setting.seed
        try:
            if record.status != "scored":
                raise UserError(f"{record.status}, not scored")
            model = read_scores(folder, data.train_labels, data.test_labels, classes)
            if not all(_aside(model) == _aside(other.trained) for other in kept.values()):
                raise UserError(f"{folder}: its canaries or validation examples are not those of the other seeds")
            member = model.member[model.honest]
            if min(member.sum(), (~member).sum()) < FEWEST:
                raise UserError(f"fewer than {FEWEST} members or non-members")
        except UserError as error:
            missing[f"seed {seed}"] = f"seed {seed}: {error}"
            continue
        digest = hashlib.sha256(read_whole(one.path, MOST_BYTES)).hexdigest()
        kept[seed] = Kept(record, digest, model, read_curve(folder))
    for seed in [seed for seed in kept if seed % 2 == 0 and seed + 1 in kept]:
        first, second = (kept[s].trained for s in (seed, seed + 1))
        same = (first.member == second.member) & ~first.validation
        if same.sum() > 1:  # of an odd pool one example is nobody's member
            del kept[seed], kept[seed + 1]
            why = f"seeds {seed} and {seed + 1}: their members are not complementary"
            missing |= {f"seed {seed}": why, f"seed {seed + 1}": why}
    return kept, missing


def _aside(model: Trained) -> tuple[bytes, bytes]:
    """Which examples are canaries, with their labels, and which were for validation, to be compared."""
    return np.where(model.mislabelled, model.labels, -1).tobytes(), model.validation.tobytes()
