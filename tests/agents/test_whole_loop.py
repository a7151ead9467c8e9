"""From the command to the table: a model behind a server of the OpenAI protocol, trained with and graded for real."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai.log import read_eval_log
from openai_server import serving
from scripted_agents import PLAIN, TASK, TEST, edit, smoothing

pytestmark = [pytest.mark.agents, pytest.mark.timeout(900)]  # a busy machine has let it take five minutes

INSPECT = Path(sys.executable).with_name("inspect")
# The log names a model whose provider would want its key; scoring asks no model.
AGAIN = (INSPECT, "score", "--scorer", "mlsbench/primary_metric", "--model", "mockllm/model", "--display", "plain")
MODEL = "openai-api/local/scripted"
SMALL = (
    "--protocol", "smoke", "--benchmark", "resnet20-digits", "--seed", "42", "--override", "epochs=4", "--override",
    "members=256", "--override", "batch=16",
)  # fmt: skip


@dataclass
class Graded:
    """What one `mlsbench agent` printed and left."""

    folder: Path
    done: subprocess.CompletedProcess[str]
    requests: list[dict[str, Any]]

    @property
    def log(self) -> Path:
        (log,) = (self.folder / "logs").glob("*.eval")
        return log


def mlsbench(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlsbench", *arguments], cwd=folder, env=os.environ | environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    """A model that improves its loss over two tests and submits the second, under a secret key."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "key").write_bytes(os.urandom(32))
    (folder / "key").chmod(0o600)
    steps = [edit(smoothing(0.5)), TEST, edit(PLAIN, smoothing(0.5)), ("validate", {}), TEST, ("submit", {"n": 2})]
    requests: list[dict[str, Any]] = []
    with serving(steps, requests) as url:
        done = mlsbench(
            "agent", TASK, "--model", MODEL, *SMALL, "--key", "key", "--sandbox", "process", "--device", "cpu",
            "--log-dir", "logs", folder=folder, LOCAL_BASE_URL=url, LOCAL_API_KEY="none", INSPECT_DISPLAY="plain",
        )  # fmt: skip
    return Graded(folder, done, requests)


def test_the_command_ends_well_with_both_rows_and_their_difference(graded: Graded) -> None:
    assert graded.done.returncode == 0, graded.done.stdout + graded.done.stderr
    assert f"{MODEL}  vanilla" in graded.done.stdout
    assert f"{MODEL}  agent" in graded.done.stdout
    assert "vanilla → agent: privacy score" in graded.done.stdout
    assert "1 rollout, 2 tests, 5 actions, 666 tokens" in graded.done.stdout


def test_the_model_was_asked_by_the_protocol_with_the_tools(graded: Graded) -> None:
    tools = {tool["function"]["name"] for tool in graded.requests[0]["tools"]}
    assert tools == {"view", "edit", "undo", "validate", "test", "submit"}
    assert "# === EDITABLE ===" in json.dumps(graded.requests[0]["messages"][0])
    assert "seed 42: scored" in json.dumps(graded.requests[-1]["messages"])


def test_the_log_has_the_conversation_the_calls_and_the_score(graded: Graded) -> None:
    log = read_eval_log(str(graded.log))
    assert log.status == "success"
    assert log.samples is not None
    (sample,) = log.samples
    assert sample.scores is not None
    score = sample.scores["primary_metric"]
    values = (score.metadata or {})["agent"]["benchmarks"]["resnet20-digits"]
    assert values["privacy_score"] == [score.as_float()]
    assert values["audited_score"][0] is not None
    assert "key" not in json.dumps(score.metadata)


def test_neither_key_is_in_the_log(graded: Graded) -> None:
    (test_key,) = graded.folder.glob("runs/*/*/rollouts/*/test-key")
    text = read_eval_log(str(graded.log)).model_dump_json()
    for secret in (graded.folder / "key", test_key):
        assert secret.read_bytes().hex() not in text
        assert repr(secret.read_bytes())[2:-1] not in text


def test_scoring_the_log_again_reads_records_and_trains_nothing(graded: Graded) -> None:
    before = {path: path.stat().st_mtime_ns for path in graded.folder.rglob("runs/**/*") if path.is_file()}
    done = subprocess.run(
        [*AGAIN, graded.log, "--action", "overwrite", "--output-file", "again.eval"],
        cwd=graded.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    after = {path: path.stat().st_mtime_ns for path in graded.folder.rglob("runs/**/*") if path.is_file()}
    assert after == before
    logs = [read_eval_log(str(path)) for path in (graded.log, graded.folder / "again.eval")]
    first, again = ([s.scores for s in log.samples or []] for log in logs)
    assert [s["primary_metric"].value for s in first if s] == [s["primary_metric"].value for s in again if s]


def test_without_its_records_a_log_cannot_be_scored_again(graded: Graded, tmp_path: Path) -> None:
    done = subprocess.run(
        [*AGAIN, graded.log, "-S", f"runs={tmp_path}", "--action", "append", "--output-file", "again.eval"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "no readable rollout" in done.stdout + done.stderr


def test_inspect_finds_the_task_by_its_entry_point(tmp_path: Path) -> None:
    with serving([("submit", {"n": 1})], []) as url:
        done = subprocess.run(
            [
                INSPECT, "eval", "mlsbench/security_membership_inference_defense", "--model", MODEL, "--display",
                "plain", "-T", "protocol=smoke", "-T", "actions=1", "-T", "sandbox=process", "-T", "device=cpu",
            ],
            cwd=tmp_path, env=os.environ | {"LOCAL_BASE_URL": url, "LOCAL_API_KEY": "none"}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "logs").glob("*.eval")
    samples = read_eval_log(str(log)).samples or []
    assert [(s.scores or {})["primary_metric"].reason for s in samples] == ["no result"]


@pytest.mark.browser
def test_the_bundled_viewer_shows_the_conversation_and_the_score(graded: Graded) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed")
    bundle = graded.folder / "bundle"
    subprocess.run(
        [INSPECT, "view", "bundle", "--log-dir", "logs", "--output-dir", bundle], cwd=graded.folder, check=True
    )
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", bundle],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split("(")[1].split(")")[0]
        with api.sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])  # root may not without
            page = chromium.new_page()
            page.goto(url)
            page.get_by_text("primary_metric").first.wait_for()
            page.get_by_text(TASK).first.click()
            page.get_by_text("Test 1 of 3").first.wait_for(state="attached")
            chromium.close()
    finally:
        server.kill()
        server.wait()
