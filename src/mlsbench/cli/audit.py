"""The command that attacks kept logits with everything that needs no further training."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlsbench import UserError
from mlsbench.cli import options

if TYPE_CHECKING:
    from mlsbench.harness.data import Prepared
    from mlsbench.scoring import Stored
    from mlsbench.scoring.audit import Audit, Kept

Jobs = dict[str, list["Stored"]]  # by benchmark


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(audit)


def audit(
    task: options.Task,
    entry: Annotated[
        str | None, typer.Argument(help="An entry's name or the start of its submission's digest; all if not given.")
    ] = None,
    protocol: options.Protocol = None,
    benchmark: options.Benchmarks = [],
    key: Annotated[
        str, typer.Option(help="Only records of this split key; the key of most records if not given.")
    ] = "",
    runs: options.Runs = Path("runs"),
    override: options.Overrides = [],
    export: Annotated[
        Path | None, typer.Option(help="Also write scores here for ML Privacy Meter and TensorFlow Privacy.")
    ] = None,
    json_: options.Json = False,
) -> None:
    """Attack the kept logits of an entry in every known way, print what leaks and write it to audit.json.

    An entry's models of other seeds are each other's references: attacks that need them want two complementary pairs
    of seeds, such as 42, 43, 44 and 45.

    Example: mlsbench audit security-membership-inference-defense erm --protocol smoke
    """
    from rich.console import Console

    from mlsbench.cli.launch import chosen_of
    from mlsbench.harness.data import load
    from mlsbench.harness.plan import variant
    from mlsbench.harness.split import read_key
    from mlsbench.scoring import find_records, select
    from mlsbench.scoring.audit_rich import rich_audit
    from mlsbench.tasks import get_task

    folder = get_task(task)
    chosen = variant(folder.spec, protocol, override)
    benchmarks = chosen_of("benchmark", benchmark, chosen.benchmarks)
    stored, problems = find_records(runs / task)
    digest = read_key(key).digest if key else None
    records, left_out = select([s.record for s in stored], chosen.name, split_key=digest, task=task)
    for line in (*(f"warning: {problem}" for problem in problems), *left_out):
        typer.echo(line, err=True)
    used = {record.job_key for record in records}
    jobs = [s for s in stored if s.record.job_key in used and s.record.setting.benchmark in benchmarks]
    found = _of_entry(jobs, entry)
    if not found:
        raise UserError(f"no entry {entry!r}" if entry and jobs else f"there are no records of {chosen.name} in {runs}")
    data: dict[str, Prepared] = {}
    audits = []
    for by_benchmark in found:
        for name in sorted(by_benchmark, key=benchmarks.index):
            dataset = folder.spec.benchmarks[name].dataset
            given = folder.spec.datasets[dataset]
            if dataset not in data:
                data[dataset] = load(dataset, given, None, chosen.members)
            whole = hashlib.sha256((given.train_fingerprint + given.test_fingerprint).encode()).hexdigest()
            done = _audit(by_benchmark[name], data[dataset], whole, export)
            audits += [done] if done else []
            if done and not json_:
                (Console() if Console().is_terminal else Console(width=120)).print(rich_audit(done))
    if json_:
        typer.echo(json.dumps([done.model_dump(mode="json") for done in audits], indent=1))
    if not audits:
        raise typer.Exit(1)


def _audit(jobs: Sequence[Stored], data: Prepared, whole: str, export: Path | None) -> Audit | None:
    """The audit of one entry's jobs on one benchmark, written beside them; None, and a line why, if nothing is kept.

    whole: the fingerprint, as records have it, of the dataset that `data` is the pool of.
    """
    from mlsbench.scoring import write_whole
    from mlsbench.scoring.audit import AUDIT_FILE, audit_entry
    from mlsbench.scoring.export import export_scores

    folder = jobs[0].path.parent.parent
    label = f"{jobs[0].record.entry.name}, {folder.name}"
    if any(one.record.setting.data != whole for one in jobs):
        raise UserError(f"{label}: these records were made with other data than the {data.name} prepared here")
    kept, missing = _kept(jobs, data)
    if not kept:
        typer.echo(f"{label}: nothing to audit: {'; '.join(missing.values())}", err=True)
        return None
    done = audit_entry(kept, missing)
    write_whole(folder / AUDIT_FILE, done.model_dump_json(indent=1).encode() + b"\n")
    typer.echo(f"{label}: {folder / AUDIT_FILE}", err=True)
    if export is not None:
        export_scores(export / folder.parent.name / folder.name, kept, data.test_labels)
    return done


def _of_entry(jobs: Sequence[Stored], wanted: str | None) -> list[Jobs]:
    """The jobs of each entry that `wanted` names, in the order of names."""
    entries: dict[tuple[str, str, str], Jobs] = defaultdict(lambda: defaultdict(list))
    for one in jobs:
        entry = one.record.entry
        if wanted is None or wanted == entry.name or (len(wanted) > 5 and entry.submission.startswith(wanted)):
            entries[entry.name, entry.type, entry.submission][one.record.setting.benchmark].append(one)
    return [entries[key] for key in sorted(entries)]


def _kept(jobs: Sequence[Stored], data: Prepared) -> tuple[dict[int, Kept], dict[str, str]]:
    """What can be audited, by seed, and why the rest cannot."""
    from mlsbench.scoring.audit import Kept
    from mlsbench.scoring.kept import read_curve, read_scores
    from mlsbench.scoring.membership import accuracy

    kept, missing = {}, {}
    for one in jobs:
        record, folder = one.record, one.path.parent
        seed = record.setting.seed
        try:
            if record.status != "scored":
                raise UserError(f"{record.status}, not scored")
            model, test_logits = read_scores(folder, data.train_labels)
        except UserError as error:
            missing[f"seed {seed}"] = f"seed {seed}: {error}"
            continue
        digest = hashlib.sha256(one.path.read_bytes()).hexdigest()
        test_acc = accuracy(test_logits, data.test_labels)
        kept[seed] = Kept(record, digest, model, test_logits, test_acc, read_curve(folder))
    return kept, missing
