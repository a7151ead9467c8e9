"""The score of a rollout: its two submissions are graded once, and read from their records ever after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inspect_ai.model import get_model_info
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import TaskState

from mlsbench.agents.inspect_agent import LIVE, in_thread
from mlsbench.agents.rollout import Spent, results
from mlsbench.scoring.aggregation import EntryResult
from mlsbench.scoring.rollouts import Rollout, read_rollout, rollout_folder
from mlsbench.tasks import get_task


@scorer(metrics=[mean()])
def primary_metric(runs: str | None = None) -> Scorer:
    """The primary metric of what was submitted, its mean over benchmarks and seeds of the protocol.

    runs: where the records are, if they are no longer where they were made.

    A rollout that has just ended is graded first, which trains. One from a log is read from its records. Without a
    result there is no score, and what failed for our own reasons is an error.
    """

    async def score(state: TaskState, target: Target) -> Score:
        live = LIVE.pop(state.uuid, None)
        if live:
            live.close(Spent(live.seconds, state.token_usage, _cost(state), _log()))
            await in_thread(live.grade, live.engine())
        where, made = Path(runs or state.metadata["runs"]), state.metadata
        ended = read_rollout(rollout_folder(where, made["task"], made["protocol"], state.uuid))
        return _score(ended, results(where, get_task(ended.task), ended))

    return score


def _score(rollout: Rollout, found: dict[str, EntryResult]) -> Score:
    agent = found["agent"]
    metadata = {kind: _values(result) for kind, result in found.items()}
    metadata["rollout"] = rollout.model_dump(mode="json", exclude={"test_key", "split_key"})
    if agent.score is None:
        why = "nothing was submitted" if rollout.agent is None else "a training of what was submitted has no result"
        return Score.unscored(reason="no result", explanation=why, metadata=metadata)
    vanilla = found["vanilla"].score
    said = f"test {rollout.submitted_test} of {rollout.tests}" + (
        f", submitted automatically: out of {rollout.ended}" if rollout.automatic else ""
    )
    first = f"; first test {vanilla.mean:.4f}" if vanilla else ""
    return Score(value=agent.score.mean, answer=rollout.agent, explanation=said + first, metadata=metadata)


def _values(result: EntryResult) -> dict[str, Any]:
    """The score, and for each benchmark every metric's values in the order of the seeds."""
    return {
        "score": result.score.mean if result.score else None,
        "benchmarks": {
            one.benchmark: {
                **{metric: list(values) for metric, values in one.values.items()},
                "not_scored": {str(trouble.seed): trouble.status for trouble in one.troubles},
            }
            for one in result.benchmarks
        },
    }


def _cost(state: TaskState) -> float | None:
    info = get_model_info(str(state.model))
    return state.cost_usage if info and info.cost else None


def _log() -> str:
    from inspect_ai.log._samples import sample_active  # nothing public tells a scorer where its log is

    active = sample_active()
    return active.log_location if active else ""
