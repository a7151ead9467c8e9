"""Scripted agents for Inspect's mock model, and the evaluation of one on jobs as small as they get."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inspect_ai import Task
from inspect_ai import eval as run
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import ChatMessageTool, ModelOutput, ModelUsage, get_model

from mlsbench.agents.inspect_registry import TASKS

TASK = "security-membership-inference-defense"
BENCHMARK = "resnet20-digits"
SMALL = {
    "protocol": "smoke", "benchmark": BENCHMARK, "override": ["epochs=1", "members=64"], "sandbox": "process",
    "device": "cpu",
}  # fmt: skip
PROTOCOL = "smoke+epochs=1+members=64"
PLAIN = "return F.cross_entropy(logits, labels)"
NAME = "mockllm/model"

Call = tuple[str, dict[str, Any]]


def edit(new: str, old: str = PLAIN) -> Call:
    return "edit", {"new": new, "old": old}


def smoothing(amount: float) -> str:
    return f"return F.cross_entropy(logits, labels, label_smoothing={amount})"


TEST: Call = ("test", {})
SUBMIT: Call = ("submit", {"n": 1})


def replies(*steps: Call | str | ModelOutput, tokens: int = 10) -> list[ModelOutput]:
    """One reply a step: a call of a tool, words alone, or the reply itself. Usage is given, or it would be counted."""
    outputs = []
    for step in steps:
        if isinstance(step, ModelOutput):
            output = step
        elif isinstance(step, str):
            output = ModelOutput.from_content("mockllm", step)
        else:
            output = ModelOutput.for_tool_call("mockllm", step[0], step[1])
        output.usage = ModelUsage(input_tokens=tokens // 2, output_tokens=tokens // 2, total_tokens=tokens)
        outputs.append(output)
    return outputs


def evaluated(
    folder: Path, steps: Sequence[Call | str | ModelOutput], *, rollouts: int = 1, tokens_each: int = 10,
    task: Task | None = None, **options: Any,
) -> EvalLog:  # fmt: skip
    """The log of rollouts in which the model takes `steps`, one after another; records go to `folder`/runs."""
    model = get_model(NAME, custom_outputs=replies(*steps, tokens=tokens_each), memoize=False)
    (log,) = run(
        task or TASKS[TASK](**{**SMALL, "runs": str(folder / "runs"), **options}), model=model, epochs=rollouts,
        max_samples=1, continue_on_fail=True, display="none", log_dir=str(folder / "logs"),
    )  # fmt: skip
    return log


def sample_of(log: EvalLog) -> EvalSample:
    """The only sample of `log`."""
    assert log.samples is not None
    (sample,) = log.samples
    return sample


def answers(sample: EvalSample) -> list[str]:
    """What the tools answered, errors in their words."""
    found = [message for message in sample.messages if isinstance(message, ChatMessageTool)]
    return [message.error.message if message.error else message.text for message in found]
