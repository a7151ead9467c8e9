"""What an attack is run on, as a task of its own: another task's training on the attack's benchmarks."""

from __future__ import annotations

from typing import NamedTuple

from mlsbench import UserError
from mlsbench.tasks.loader import SPEC, TaskFolder
from mlsbench.tasks.registry import baseline_path, get_task
from mlsbench.tasks.submission import Submission, read_submission


class TargetTask(NamedTuple):
    """How targets and references are trained: `task` is the other task with the attack's id, data, benchmarks and
    protocols; `submission` is its baseline called `name`."""

    task: TaskFolder
    name: str
    submission: Submission


def target_of(attack: TaskFolder) -> TargetTask | None:
    """How the targets of `attack` are trained; None if it is a loss. Raises UserError if there is no such training."""
    spec = attack.spec
    if spec.target is None:
        return None
    other, name = get_task(spec.target.task), spec.target.baseline
    if other.spec.procedure != "loss" or name not in other.spec.baselines:
        raise UserError(f"{attack.path / SPEC}: target: {other.spec.id} has no baseline {name} to train models with")
    spoilt = "shows its loss non-members" if other.spec.parts == 3 else "poisons labels" if other.spec.poison else ""
    if spoilt:  # an attack is judged by halves of the pool, trained with the labels that it is given
        raise UserError(f"{attack.path / SPEC}: target: {other.spec.id} {spoilt}, and no attack is run on such models")
    protocols = {n: p.model_copy(update={"references": ()}) for n, p in spec.protocols.items()}
    same = {"id": spec.id, "datasets": spec.datasets, "benchmarks": spec.benchmarks}
    more = {"protocols": protocols, "default_protocol": spec.default_protocol}
    shared = other.spec.baselines[name].submission
    submission = read_submission(baseline_path(other.spec.id, shared or name), other)
    return TargetTask(TaskFolder(other.path, other.spec.model_copy(update=same | more)), name, submission)
