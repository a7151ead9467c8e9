"""The command that attacks kept logits with everything that needs no further training."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlsbench import UserError
from mlsbench.cli import options

if TYPE_CHECKING:
    from mlsbench.scoring import Stored

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
    seed: Annotated[
        list[int],
        typer.Option(help="Attack this seed's model, others are references; repeatable; the protocol's if not given."),
    ] = [],
    key: options.RecordsKey = "",
    runs: options.Runs = Path("runs"),
    override: options.Overrides = [],
    export: Annotated[
        Path | None, typer.Option(help="Also write scores here for ML Privacy Meter and TensorFlow Privacy.")
    ] = None,
    references: Annotated[
        int, typer.Option(metavar="N", min=0, help="First train so many more models of ENTRY as references; even.")
    ] = 0,
    white_box: Annotated[
        bool, typer.Option("--white-box", help="Also attack by the norms of gradients, from the kept weights.")
    ] = False,
    device: options.Device = "auto",
    sandbox: options.Sandbox = "auto",
    runtime: options.Runtime = None,
    jobs: options.Jobs = 0,
    json_: options.Json = False,
) -> None:
    """Attack the kept logits of an entry in every known way, print what leaks and write it to audit.json.

    An entry's models of other seeds are each other's references: attacks that need them want two complementary pairs
    of seeds, such as 42, 43, 44 and 45. --references trains more, in the setting of the entry's records; finished ones
    are not repeated.

    Example: mlsbench audit security-membership-inference-defense erm --protocol smoke
    """
    from rich.console import Console

    from mlsbench.cli.auditing import Auditor, NothingToAuditError, require_audited
    from mlsbench.harness.device import devices
    from mlsbench.harness.launch import chosen_of
    from mlsbench.harness.split import read_key
    from mlsbench.harness.variant import variant
    from mlsbench.scoring import clean
    from mlsbench.scoring.audit_rich import rich_audit
    from mlsbench.tasks import get_task

    folder = get_task(task)
    require_audited(folder.spec)
    chosen = variant(folder.spec, protocol, override)
    benchmarks = chosen_of("benchmark", benchmark, chosen.benchmarks)
    digest = read_key(key).digest if key else None
    if references:
        from mlsbench.cli.references import Place, reference_seeds, train_references

        by_benchmark = _only(_find(runs, task, chosen.name, benchmarks, digest, entry)[0], entry, references)
        more = reference_seeds((*chosen.seeds, *seed), references)
        train_references(folder, by_benchmark, more, key, Place(device, sandbox, runtime, jobs, runs))
    found, said = _find(runs, task, chosen.name, benchmarks, digest, entry)
    for line in said:
        typer.echo(line, err=True)
    auditor = Auditor(folder.spec, chosen, seed, devices(device)[0] if white_box else None)
    audits = []
    for by_benchmark in found:
        for name in sorted(by_benchmark, key=benchmarks.index):
            try:
                done = auditor.audit(by_benchmark[name], export)
            except NothingToAuditError as error:
                typer.echo(clean(str(error), 1000), err=True)
                continue
            audits.append(done)
            if not json_:
                (Console() if Console().is_terminal else Console(width=120)).print(rich_audit(done))
    if json_:
        typer.echo(json.dumps([done.model_dump(mode="json") for done in audits], indent=1))
    if not audits:
        raise typer.Exit(1)


def _find(
    runs: Path, task: str, protocol: str, benchmarks: Sequence[str], split_key: str | None, entry: str | None
) -> tuple[list[Jobs], list[str]]:
    """The jobs of each entry that `entry` names, and lines about what is damaged or left out. UserError without any."""
    from mlsbench.scoring import find_records, select

    stored, problems = find_records(runs / task)
    records, left_out = select([s.record for s in stored], protocol, split_key=split_key, task=task)
    used = {id(record) for record in records}  # a job's key may stand in a second record, perhaps a copy
    jobs = [s for s in stored if id(s.record) in used and s.record.setting.benchmark in benchmarks]
    found = _of_entry(jobs, entry)
    said = [*(f"warning: {problem}" for problem in problems), *left_out]
    if not found:
        names = ", ".join(sorted({one.record.entry.name for one in jobs}))
        fault = f"no entry {entry!r}; there is {names}" if names else f"there are no records of {protocol} in {runs}"
        raise UserError("\n".join([fault, *said]))
    return found, said


def _only(found: Sequence[Jobs], entry: str | None, references: int) -> Jobs:
    """The jobs of the one entry that references are trained for. UserError unless it is one and they are even."""
    if references % 2:
        raise UserError(f"--references {references}: give an even number, for references are complementary pairs")
    if entry is None:
        raise UserError("--references: name the ENTRY whose models are to be trained")
    if len(found) > 1:
        digests = ", ".join(next(iter(jobs.values()))[0].record.entry.submission[:12] for jobs in found)
        raise UserError(f"--references: several entries are called {entry!r}; name one by its digest: {digests}")
    return found[0]


def _of_entry(jobs: Sequence[Stored], wanted: str | None) -> list[Jobs]:
    """The jobs of each entry that `wanted` names, in the order of names."""
    entries: dict[tuple[str, str, str], Jobs] = defaultdict(lambda: defaultdict(list))
    for one in jobs:
        entry = one.record.entry
        if wanted is None or wanted == entry.name or (len(wanted) > 5 and entry.submission.startswith(wanted)):
            entries[entry.name, entry.type, entry.submission][one.record.setting.benchmark].append(one)
    return [entries[key] for key in sorted(entries)]
