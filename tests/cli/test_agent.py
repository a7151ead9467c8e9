"""`agent` and `workspace` say plainly what is missing; neither needs Inspect to be there before it is asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsbench import UserError
from mlsbench.cli.agent import agent

TASK = "security-membership-inference-defense"

Call = Callable[..., tuple[int, str, str]]


def test_without_inspect_the_command_says_what_to_install(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    status, _, errors = call("agent", TASK, "--model", "openai/gpt-5")
    assert status == 2
    assert "pip install 'mlsbench[agents]'" in errors


def test_an_unknown_task_is_said_first(call: Call) -> None:
    status, _, errors = call("agent", "security", "--model", "openai/gpt-5")
    assert status == 2
    assert "did you mean security-" in errors


def test_what_a_model_wrote_never_runs_in_this_process(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    with pytest.raises(UserError, match="runs in a sandbox only"):
        agent(TASK, "mockllm/model", protocol="smoke", sandbox="inprocess", runs=tmp_path)


def test_a_workspace_names_what_it_wrote_and_loads_no_inspect(tmp_path: Path) -> None:
    code = (
        "import sys; from mlsbench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('inspect_ai', 'torch') if m in sys.modules], file=sys.stderr)"
    )
    words = ("workspace", TASK, str(tmp_path / "desk"), "--protocol", "smoke")
    done = subprocess.run([sys.executable, "-P", "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert f"{tmp_path}/desk/INSTRUCTIONS.md" in done.stdout.splitlines()


def test_a_workspace_that_is_there_is_kept(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("work of days")
    status, _, errors = call("workspace", TASK, tmp_path)
    assert status == 2
    assert "not an empty folder" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
