"""A hidden benchmark counts in the result, and shows nowhere in what an agent sees or could see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai.event import ScoreEvent
from scripted_agents import NAME, PLAIN, SUBMIT, TEST, edit, evaluated, sample_of

from mlsbench.agents.inspect_registry import graded_task
from mlsbench.agents.workbench import Budget
from mlsbench.harness.launch import Options
from mlsbench.scoring import find_records
from mlsbench.tasks import TaskFolder

HIDDEN, SHOWN = "mobilenetv2-digits", "resnet20-digits"


@pytest.mark.agents
@pytest.mark.usefixtures("no_training")
def test_a_whole_transcript_holds_no_trace_of_it(tmp_path: Path, hiding: TaskFolder) -> None:
    options = Options(
        protocol="smoke", benchmarks=[SHOWN, HIDDEN], seeds=[42], key="public", sandbox="process", runtime=None,
        device="cpu", deterministic=False, engine="local", jobs=0, runs=tmp_path / "runs",
        overrides=["epochs=1", "members=64"],
    )  # fmt: skip
    steps = [
        ("view", {}), TEST, edit(PLAIN + "  # crash"), ("validate", {}), TEST, ("bash", {"command": "ls"}), SUBMIT,
    ]  # fmt: skip
    sample = sample_of(evaluated(tmp_path, steps, task=graded_task(hiding, options, Budget())))
    events = [event for event in sample.events if not isinstance(event, ScoreEvent)]
    seen = [
        *(message.model_dump_json() for message in sample.messages), json.dumps(sample.store, default=str),
        *(event.model_dump_json() for event in events), *sample.attachments.values(), str(sample.input),
    ]  # fmt: skip
    assert any(SHOWN in text for text in seen)
    assert any("the mean over 1 benchmarks" in text for text in seen)
    for trace in (HIDDEN, "hidden"):  # its model stands in other benchmarks, too
        assert not [text for text in seen if trace in text.lower()]
    tests = next((tmp_path / "runs").glob("*/*/rollouts/*/tests"))
    assert not list(tests.rglob(f"*{HIDDEN}*"))
    graded = {(s.record.entry.type, s.record.setting.benchmark) for s in find_records(tmp_path / "runs")[0]}
    assert graded == {(kind, name) for kind in ("vanilla", "agent") for name in (SHOWN, HIDDEN)}
    assert sample.scores is not None
    assert HIDDEN in sample.scores["primary_metric"].model_dump_json()
    assert all(s.record.entry.name == NAME for s in find_records(tmp_path / "runs")[0])
