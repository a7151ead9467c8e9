"""The command that writes the results of a protocol as one HTML page."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlsbench import UserError, __version__
from mlsbench.cli import options

if TYPE_CHECKING:
    from mlsbench.cli.auditing import Auditor
    from mlsbench.scoring import Record, Stored
    from mlsbench.scoring.audit_document import Audit
    from mlsbench.scoring.report.contents import Place

Jobs = dict["Place", list["Stored"]]


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(report)


def report(
    task: options.Task,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("report.html"),
    protocol: options.Protocol = None,
    benchmark: options.Benchmarks = [],
    seed: options.Seeds = [],
    key: options.RecordsKey = "",
    runs: options.Runs = Path("runs"),
    override: options.Overrides = [],
) -> None:
    """Write the results of a protocol as one HTML page that opens from disk without a network.

    Entries that have no audit, or one of other records, are audited first. Needs plotly: pip install
    'mlsbench[report]'.

    Example: mlsbench report security-membership-inference-defense --protocol smoke -o report.html
    """
    from mlsbench.cli.auditing import Auditor, require_audited
    from mlsbench.cli.launch import table_caption
    from mlsbench.cli.reproduction import comparable
    from mlsbench.harness.launch import chosen_of, columns
    from mlsbench.harness.split import read_key
    from mlsbench.harness.variant import variant
    from mlsbench.scoring import Plan, aggregate, find_records, select, write_whole
    from mlsbench.scoring.report.contents import Contents
    from mlsbench.scoring.report.page import plotting_library, report_page
    from mlsbench.tasks import get_task

    plotting_library()  # first, what would be a pity after audits that take minutes
    if not output.parent.is_dir():
        raise UserError(f"--output: there is no folder {output.parent}")
    folder = get_task(task)
    require_audited(folder.spec)
    chosen = variant(folder.spec, protocol, override)
    benchmarks = chosen_of("benchmark", benchmark, chosen.benchmarks)
    plan = Plan(benchmarks, tuple(dict.fromkeys(seed)) or chosen.seeds, columns(folder.spec, chosen.canaries))
    stored, problems = find_records(runs / task)
    digest = read_key(key).digest if key else None
    records, left_out = select([s.record for s in stored], chosen.name, split_key=digest, task=task, plan=plan)
    for problem in problems:
        typer.echo(f"warning: {problem}", err=True)
    if not records:
        why = "".join(f"\n{line}" for line in left_out)
        raise UserError(f"there are no records of {chosen.name} in {runs}{why}")
    jobs = _jobs(stored, records)
    contents = Contents(
        title=folder.spec.title,
        caption=table_caption(task, chosen.name, records[0].setting.split_key, plan.seeds),
        plan=plan,
        results=aggregate(records, plan),
        records=records,
        audits=_audits(jobs, stored, Auditor(folder.spec, chosen, plan.seeds)),
        curves=_curves(jobs),
        controls=frozenset(name for name, baseline in folder.spec.baselines.items() if baseline.control),
        published=list(folder.published()) if comparable(chosen.name, folder.spec.default_protocol) else [],
        left_out=[*problems, *left_out],
        versions={"mlsbench": __version__, "plotly": version("plotly")},
    )
    try:
        write_whole(output, report_page(contents).encode())
    except OSError as error:
        raise UserError(f"--output: {output}: {error.strerror or error}") from None
    typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB", err=True)


def _jobs(stored: Sequence[Stored], records: Sequence[Record]) -> Jobs:
    """The table's jobs by entry and benchmark."""
    from mlsbench.scoring.aggregation import EntryKey

    wanted = {id(record) for record in records}
    jobs: Jobs = defaultdict(list)
    for one in stored:
        if id(one.record) in wanted:
            entry = one.record.entry
            jobs[EntryKey(entry.name, entry.type, entry.submission), one.record.setting.benchmark].append(one)
    return jobs


def _audits(jobs: Jobs, stored: Sequence[Stored], auditor: Auditor) -> Mapping[Place, Audit | str]:
    """For each entry and benchmark the audit that lies beside its jobs, made anew if need be, or why there is none."""
    from mlsbench.scoring.selection import one_record_a_job
    from mlsbench.scoring.text import clean

    counted = {id(r) for r in one_record_a_job([s.record for s in stored])}
    audits: dict[Place, Audit | str] = {}
    for place, mine in jobs.items():
        found = _kept_audit(mine)
        if found is None:
            first = mine[0].record
            group = first.setting.group()
            # Seeds beyond the plan are references, too.
            all_seeds = [
                s for s in stored
                if id(s.record) in counted and s.record.entry == first.entry
                and s.record.setting.group() == group and s.record.setting.benchmark == place[1]
            ]  # fmt: skip
            try:
                found = auditor.audit(all_seeds)
            except UserError as error:
                typer.echo(f"not audited: {clean(str(error), 1000)}", err=True)
                audits[place] = str(error).removeprefix(f"{place[0].name}, {place[1]}: ")
                continue
        audits[place] = found
    return audits


def _kept_audit(jobs: Sequence[Stored]) -> Audit | None:
    """The audit beside `jobs` if it is of these very records and has curves to draw."""
    from pydantic import ValidationError

    from mlsbench.scoring.audit_document import AUDIT_BYTES, AUDIT_FILE, Audit
    from mlsbench.scoring.record import MOST_BYTES, read_whole

    first, setting = jobs[0].record, jobs[0].record.setting
    try:
        audit = Audit.model_validate_json(read_whole(jobs[0].path.parent.parent / AUDIT_FILE, AUDIT_BYTES))
        found = {
            one.record.setting.seed: hashlib.sha256(read_whole(one.path, MOST_BYTES)).hexdigest()
            for one in jobs if one.record.status == "scored"
        }  # fmt: skip
    except (OSError, ValidationError):
        return None
    used = {seed.seed: seed.record for seed in audit.seeds}
    named = (audit.entry, audit.task, audit.protocol, audit.benchmark)
    own = named == (first.entry, setting.task, setting.protocol, setting.benchmark)
    return audit if own and found and found.items() <= used.items() and audit.fprs else None


def _curves(jobs: Jobs) -> dict[Place, dict[int, dict[str, tuple[float | None, ...]]]]:
    from mlsbench.scoring.kept import read_training_curve

    return {
        place: {one.record.setting.seed: dict(read_training_curve(one.path.parent)) for one in mine}
        for place, mine in jobs.items()
    }
