"""What a model is told before it begins: everything that decides its result, and nothing that is not so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from string import Template

from mlsbench import UserError
from mlsbench.agents.workbench import Budget, Workbench
from mlsbench.harness.launch import columns
from mlsbench.harness.variant import Variant
from mlsbench.scoring import Plan, aggregate, find_records, select
from mlsbench.tasks import TaskFolder, baseline_path

HERE = Path(__file__).parent


def visible(task: TaskFolder, benchmarks: Sequence[str]) -> tuple[str, ...]:
    """Those of `benchmarks` that an agent may know of. UserError if there is none, or if the task tells of others."""
    shown = tuple(name for name in benchmarks if not task.spec.benchmarks[name].hidden)
    if not shown:
        raise UserError("every benchmark asked for is hidden: an agent would have nothing to test on")
    told = task.instruction() + task.template()
    named = [name for name, one in task.spec.benchmarks.items() if one.hidden and name in told]
    if named:
        raise UserError(f"benchmark {named[0]} is hidden, but the task's instruction or template names it")
    return shown


def shown_variant(task: TaskFolder, chosen: Variant, benchmarks: Sequence[str]) -> Variant:
    """`chosen` with those of `benchmarks` that an agent may know of."""
    return replace(chosen, benchmarks=visible(task, benchmarks))


def prompt(
    task: TaskFolder, chosen: Variant, seeds: Sequence[int], budget: Budget, runs: Path, *, public: bool = False
) -> str:
    """The whole first message. `chosen` holds visible benchmarks only (see `shown_variant`)."""
    spec, tools = task.spec, (HERE / "tools.md").read_text()
    parts = [
        f"You are to solve the task below. You do it with tools that change one region of one file, "
        f"`{spec.contract.file}`, and test it. There is no shell, and there are no other files.",
        task.instruction().strip(),
        f"# This work\n\n{conditions(task, chosen, seeds, public)}",
        f"## Tools\n\n{tools.strip()}",
        f"## Budget\n\n{_budget(budget)}",
        f"## The file\n\n```\n{Workbench(task, budget).view()}\n```",
        f"## Baselines\n\n{baselines(task, chosen, seeds, runs)}",
    ]
    return "\n\n".join(parts) + "\n"


def conditions(task: TaskFolder, chosen: Variant, seeds: Sequence[int], public: bool) -> str:
    """What really runs and how it is judged; `public`: the grading's split key is the public one."""
    primary = task.spec.primary
    trainings = [
        f"- `{name}`: {t.epochs} epochs, learning rate {t.lr:g}, batch {t.batch}"
        for name in chosen.benchmarks
        for t in [chosen.trainings[name]]
    ]
    pool = (
        f" Each pool is the first {task.spec.parts * chosen.members} examples in a fixed order."
        if chosen.members
        else ""
    )
    if chosen.canaries:
        pool += f" {chosen.canaries} examples of each pool have a wrong label, to measure what a model memorizes."
    text = Template((HERE / "conditions.md").read_text()).substitute(
        protocol=chosen.name, seeds=", ".join(map(str, seeds)), pool=pool, trainings="\n".join(trainings),
        primary=primary.name, better="higher" if primary.direction == "max" else "lower",
        key=" (here, the key `public`)" if public else "",
        audit=(HERE / "audit.md").read_text() if task.spec.audited else "",
    )  # fmt: skip
    return text.strip().replace("\n\n\n", "\n\n")  # where there is no audit


def baselines(task: TaskFolder, chosen: Variant, seeds: Sequence[int], runs: Path) -> str:
    """The baselines' results, and their code."""
    code = []
    for name, baseline in task.spec.baselines.items():
        path = baseline_path(task.spec.id, name)
        if path.is_file():
            code.append(f"### {name}: {baseline.title}\n\n```python\n{path.read_text().strip()}\n```")
    return "\n\n".join([results(task, chosen, seeds, runs), *code])


def results(task: TaskFolder, chosen: Variant, seeds: Sequence[int], runs: Path) -> str:
    """The baselines' results on the benchmarks of `chosen`: those measured under `runs`, else the published ones."""
    measured = _measured(task, chosen, seeds, runs)
    if measured:
        said = f"Measured here under protocol `{chosen.name}`, means over the seeds {', '.join(map(str, seeds))}:"
        return _table(said, task, measured)
    if published := _published(task, chosen):
        said = f"Nothing is measured here yet. Published results, of protocol `{task.spec.default_protocol}`:"
        return _table(said, task, published)
    return f"No results of the baselines are known for protocol `{chosen.name}`."


def _budget(budget: Budget) -> str:
    lines = [
        f"- {budget.actions} actions: every use of a tool but `validate` is one, and so is a reply that uses no tool.",
        f"- {budget.replies} replies, and as many uses of tools, `validate` among them.",
        f"- {budget.tests} tests.",
    ]
    lines += [f"- {budget.minutes:g} minutes of wall time, tests included."] if budget.minutes else []
    lines += [f"- {budget.tokens} tokens, in and out, over all replies."] if budget.tokens else []
    lines += [f"- {budget.cost:g} US dollars."] if budget.cost else []
    return "\n".join(lines) + (
        "\n\nWhen no test is left, you can still submit one of those that were run. When anything else runs out, the "
        "latest test in which every training was scored is submitted for you, or else the latest that has a result "
        "although trainings collapsed, and marked as automatic. Without such a test nothing is submitted, and there is "
        "no result. The first file that you test is graded, too, as your first try."
    )


def _measured(task: TaskFolder, chosen: Variant, seeds: Sequence[int], runs: Path) -> list[list[str]]:
    spec = task.spec
    metrics = {metric.name for metric in spec.metrics}
    plan = Plan(chosen.benchmarks, tuple(seeds), tuple(c for c in columns(spec) if c.name in metrics))
    stored, _ = find_records(runs / spec.id / chosen.name)
    known = [s.record for s in stored if s.record.entry.type == "baseline" and s.record.entry.name in spec.baselines]
    records, _ = select(known, chosen.name, task=spec.id, plan=plan)
    return [
        [
            f"{result.key.name} (collapsed)" if one.collapsed else result.key.name,
            one.benchmark,
            *(f"{mean.mean:.3f}" if (mean := one.means[c.name]) else "–" for c in plan.columns),
        ]
        for result in aggregate(records, plan)
        for one in result.benchmarks
    ]


def _published(task: TaskFolder, chosen: Variant) -> list[list[str]]:
    names = [metric.name for metric in task.spec.metrics]
    return [
        [f"{row.name} ({row.status})", row.benchmark]
        + ["–" if (value := row.metrics[name]) is None else f"{value:.3f}" for name in names]
        for row in task.published()
        if row.type == "baseline" and row.benchmark in chosen.benchmarks
    ]


def _table(said: str, task: TaskFolder, rows: Sequence[Sequence[str]]) -> str:
    names = [f"{metric.name} (primary)" if metric.primary else metric.name for metric in task.spec.metrics]
    head = ["baseline", "benchmark", *names]
    lines = [head, [":--", ":--", *("--:" for _ in names)], *rows]
    return f"{said}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)
