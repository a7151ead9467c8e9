"""Rollouts of one model, one after another, by Inspect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspect_ai import eval as run
from inspect_ai._util.error import PrerequisiteError  # what Inspect raises for a user's mistake, and not public
from inspect_ai.model import Model
from rich.text import Text

from mlsbench import MachineError, UserError
from mlsbench.agents.inspect_registry import TASKS
from mlsbench.scoring import clean


@dataclass(frozen=True)
class Outcome:
    """The log, how many rollouts have a score, and why others broke down for reasons that are not the model's."""

    log: str
    scored: int
    broken: list[str]


def evaluate(
    task: str, model: str | Model, rollouts: int, log_dir: Path | None, prices: Path | None, **options: Any
) -> Outcome:
    """Run and grade `rollouts` of `model`; `options` are the parameters of the task. Raises UserError for what they
    ask, MachineError, or KeyboardInterrupt."""
    try:
        logs = run(
            TASKS[task](**options), model=model, epochs=rollouts, log_dir=str(log_dir) if log_dir else None,
            model_cost_config=str(prices) if prices else None, continue_on_fail=True,
            max_samples=1,  # side by side they would wait for each other's trainings, and their time would run out
        )  # fmt: skip
    except (PrerequisiteError, ValueError) as error:  # no such provider, no key for it, no price of it
        raise UserError(f"{model}: {Text.from_markup(str(error)).plain}") from None
    if not logs or logs[0].status == "cancelled":
        raise KeyboardInterrupt
    (log,) = logs
    if log.error:
        raise MachineError(f"Inspect broke down: {log.error.message}; its log is {log.location}")
    samples = log.samples or []
    sound = [sample for sample in samples if not sample.error and sample.scores]
    scores = [score for sample in sound for score in (sample.scores or {}).values()]
    scored = sum(score.as_float() == score.as_float() for score in scores)  # not a number: no result
    broken = [clean(sample.error.message, 500) for sample in samples if sample.error]
    return Outcome(log.location, scored, broken or ["not scored"] * (rollouts - len(sound)))
