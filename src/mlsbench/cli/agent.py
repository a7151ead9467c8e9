"""Commands that grade LLM agents: agent, workspace."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from mlsbench import UserError
from mlsbench.cli import options
from mlsbench.cli.run import INTERRUPTED

NO_RESULT, INFRASTRUCTURE = 1, 4


def add(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(agent)
    app.command()(workspace)


def agent(
    task: options.Task,
    model: Annotated[str, typer.Option(metavar="PROVIDER/NAME", help="The model, as Inspect calls it.")],
    protocol: options.Protocol = None,
    benchmark: options.Benchmarks = [],
    seed: options.Seeds = [],
    key: options.Key = "public",
    sandbox: options.Sandbox = "auto",
    runtime: options.Runtime = None,
    device: options.Device = "auto",
    jobs: options.Jobs = 0,
    runs: options.Runs = Path("runs"),
    override: options.Overrides = [],
    rollouts: Annotated[int, typer.Option(min=1, help="How often the model begins anew.")] = 1,
    actions: Annotated[int, typer.Option(min=1, help="Uses of tools a rollout; checks are free.")] = 40,
    tests: Annotated[int, typer.Option(min=1, help="Tests a rollout.")] = 3,
    minutes: Annotated[float | None, typer.Option(min=0, help="Wall time a rollout, its tests included.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Tokens a rollout, in and out.")] = None,
    cost: Annotated[float | None, typer.Option(min=0, help="US dollars a rollout; needs prices.")] = None,
    prices: Annotated[
        Path | None, typer.Option(exists=True, help="A JSON or YAML file of prices, as Inspect's --model-cost-config.")
    ] = None,
    log_dir: Annotated[Path | None, typer.Option(help="Where Inspect's logs go; ./logs if not given.")] = None,
) -> None:
    """Let a model write a submission, with tests under a key of their own, and grade its first try and its answer.

    Exit code 0: every rollout has a result; 1: one has none; 4: one broke down for reasons that are not the model's.

    Example: mlsbench agent security-membership-inference-defense --model openai/gpt-5 --protocol smoke --rollouts 3
    """
    from mlsbench.cli.table import Format, table
    from mlsbench.tasks import get_task

    get_task(task)  # a wrong name is said before Inspect is waited for
    if find_spec("inspect_ai") is None:
        raise UserError("grading a model needs Inspect: pip install 'mlsbench[agents]'")
    from mlsbench.agents.inspect_run import evaluate

    if key == "public":
        typer.echo("note: graded under the public split key; --key FILE makes results that others can trust", err=True)
    try:
        outcome = evaluate(
            task, model, rollouts, log_dir, prices, protocol=protocol, benchmark=benchmark, seed=seed, key=key,
            sandbox=sandbox, runtime=runtime, device=device, jobs=jobs, runs=str(runs), override=override,
            actions=actions, tests=tests, minutes=minutes, tokens=tokens, cost=cost,
        )  # fmt: skip
    except KeyboardInterrupt:
        typer.echo("interrupted: rollouts that had ended are kept; the command begins anew", err=True)
        raise typer.Exit(INTERRUPTED) from None
    table(task, protocol, Format.rich, benchmark=benchmark, seed=seed, key=key, runs=runs, override=override)
    for why in outcome.broken:
        typer.echo(f"a rollout broke down, and is not in the table: {why}", err=True)
    typer.echo(f"log: {outcome.log}", err=True)
    raise typer.Exit(INFRASTRUCTURE if outcome.broken else 0 if outcome.scored == rollouts else NO_RESULT)


def workspace(
    task: options.Task,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is missing or empty.")],
    protocol: options.Protocol = None,
    benchmark: options.Benchmarks = [],
    runs: options.Runs = Path("runs"),
    override: options.Overrides = [],
) -> None:
    """Lay out what an agent of any kind may see: the task, the file to edit, and the baselines with their results.

    Grade what comes out with `mlsbench run TASK --submission DIR --type agent --name NAME --key FILE`.

    Example: mlsbench workspace security-membership-inference-defense work --protocol smoke
    """
    from mlsbench.agents.workspace import lay_out
    from mlsbench.harness.variant import variant
    from mlsbench.tasks import get_task

    found = get_task(task)
    for path in lay_out(found, variant(found.spec, protocol, override), benchmark, runs, folder):
        typer.echo(path)
