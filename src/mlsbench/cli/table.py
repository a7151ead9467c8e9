"""The command that prints the results table."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlsbench import UserError
from mlsbench.cli import options


class Format(StrEnum):
    """How a table is written."""

    rich = "rich"
    md = "md"
    csv = "csv"
    latex = "latex"
    json = "json"


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(table)


def table(
    task: options.Task,
    protocol: options.Protocol = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.rich,
    published: Annotated[bool, typer.Option("--published", help="Show the published rows, too.")] = False,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two entries: their differences over seeds, not the table."),
    ] = None,
    benchmark: options.Benchmarks = [],
    seed: options.Seeds = [],
    key: options.RecordsKey = "",
    runs: options.Runs = Path("runs"),
    override: options.Overrides = [],
) -> None:
    """Print the results table of a protocol: every entry's means over the protocol's seeds.

    Example: mlsbench table security-membership-inference-defense --protocol smoke --format md
    """
    from rich.console import Console

    from mlsbench.cli.launch import table_caption
    from mlsbench.harness.launch import chosen_of, columns
    from mlsbench.harness.split import read_key
    from mlsbench.harness.variant import variant
    from mlsbench.scoring import Plan, aggregate, comparison_lines, find_records, render, select
    from mlsbench.scoring import compare as compare_entries
    from mlsbench.scoring.rollouts import find_rollouts, in_table, rollout_lines, with_rollouts
    from mlsbench.tasks import get_task

    folder = get_task(task)
    chosen = variant(folder.spec, protocol, override)
    stored, problems = find_records(runs / task)
    digest = read_key(key).digest if key else None
    benchmarks = chosen_of("benchmark", benchmark, chosen.benchmarks)
    plan = Plan(benchmarks, tuple(dict.fromkeys(seed)) or chosen.seeds, columns(folder.spec, chosen.canaries))
    records, left_out = select([s.record for s in stored], chosen.name, split_key=digest, task=task, plan=plan)
    left_out += _unseen({record.setting.seed for record in records}, plan.seeds)
    for problem in problems:
        typer.echo(f"warning: {problem}", err=True)
    if compare is not None:
        if format_ is not Format.rich:
            raise UserError("--compare has no --format: it prints lines")
        try:
            lines = comparison_lines(compare_entries(records, *compare, plan))
        except UserError as error:  # an entry may be among what was left out
            raise UserError("\n".join([str(error), *left_out])) from None
        typer.echo("\n".join([*lines, *left_out]))
        return
    if not stored:
        typer.echo(f"there are no records in {runs / task}: --runs names another folder", err=True)
    rows = list(folder.published()) if published else []
    caption = table_caption(task, chosen.name, records[0].setting.split_key if records else None, plan.seeds)
    rollouts, unread = find_rollouts(runs, task, chosen.name)
    rollouts, others = in_table(rollouts, records)
    results = aggregate(records, plan)
    text = render(
        with_rollouts(results, rollouts, plan), plan, format_.value, published=rows, left_out=[*left_out, *others],
        notes=rollout_lines(results, rollouts, plan), caption=caption,
    )  # fmt: skip
    for problem in unread:
        typer.echo(f"warning: {problem}", err=True)
    if isinstance(text, str):
        typer.echo(text, nl=not text.endswith("\n"))
    else:
        (Console() if Console().is_terminal else Console(width=120)).print(text)


def _unseen(seen: set[int], planned: Sequence[int]) -> list[str]:
    """A line about seeds of the protocol that nobody has run, where others were: without them a table is all gaps."""
    unseen = [seed for seed in planned if seed not in seen]
    if not seen or not unseen:
        return []
    chosen = " ".join(f"--seed {seed}" for seed in planned if seed in seen)
    return [f"there is no record of seed {', '.join(map(str, unseen))}; {chosen} makes a table of the rest"]
