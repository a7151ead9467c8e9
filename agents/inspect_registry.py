"""What Inspect finds by entry point: a task for each that is installed, `mlsbench/<its id with underscores>`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import Sample

from mlsbench.agents.inspect_agent import rollout
from mlsbench.agents.inspect_scorer import primary_metric
from mlsbench.agents.rollout import Grading
from mlsbench.agents.workbench import Budget
from mlsbench.harness.launch import Options
from mlsbench.tasks import TaskFolder, get_task, list_tasks

__all__ = ["TASKS", "graded_task", "primary_metric", "rollout"]

Several = str | int | list[str] | list[int] | None


def graded_task(folder: TaskFolder, options: Options, budget: Budget) -> Task:
    """The task for Inspect whose samples are rollouts. Raises UserError if its jobs cannot run here."""
    grading = Grading(folder, options, budget)
    made = {"task": folder.spec.id, "protocol": grading.launch.variant.name, "runs": str(options.runs)}
    return Task(
        dataset=[Sample(id=folder.spec.id, input=grading.prompt(), metadata=made)],
        solver=rollout(grading),
        scorer=primary_metric(),
        token_limit=budget.tokens,
        cost_limit=budget.cost,
        turn_limit=budget.replies,
    )


def _graded(task_id: str) -> Callable[..., Task]:
    @task(name=task_id.replace("-", "_"))
    def graded(
        protocol: str | None = None,
        benchmark: Several = None,
        seed: Several = None,
        key: str = "public",
        sandbox: str = "auto",
        runtime: str | None = None,
        device: str = "auto",
        jobs: int = 0,
        runs: str = "runs",
        override: Several = None,
        actions: int = 40,
        tests: int = 3,
        minutes: float | None = None,
        tokens: int | None = None,
        cost: float | None = None,
    ) -> Task:
        """An agent writes a submission; its first try and its answer are graded. A sample is one rollout."""
        options = Options(
            protocol=protocol, benchmarks=_list(benchmark), seeds=[int(one) for one in _list(seed)], key=key,
            sandbox=sandbox, runtime=runtime, device=device, deterministic=False, engine="local", jobs=jobs,
            runs=Path(runs).absolute(), overrides=_list(override),
        )  # fmt: skip
        budget = Budget(actions=actions, tests=tests, minutes=minutes, tokens=tokens, cost=cost)
        return graded_task(get_task(task_id), options, budget)

    return graded


def _list(given: Several) -> list[str]:
    if given is None:
        return []
    return [str(one) for one in given] if isinstance(given, list) else str(given).split(",")


TASKS = {name: _graded(name) for name in list_tasks()}
