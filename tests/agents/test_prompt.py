"""The first message is true of what will run, and holds nothing of hidden benchmarks, keys or other entries."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlsbench import UserError
from mlsbench.agents.prompt import prompt, shown_variant, visible
from mlsbench.agents.workbench import Budget, Workbench
from mlsbench.agents.workspace import lay_out
from mlsbench.harness.variant import variant
from mlsbench.scoring import Entry, Record, Setting, job_folder, write_record
from mlsbench.scoring.record import Status
from mlsbench.tasks import TaskFolder, baseline_path, get_task

TASK = get_task("security-membership-inference-defense")
HIDDEN = "mobilenetv2-digits"
BUDGET = Budget(actions=7, tests=2, minutes=90, tokens=5000, cost=1.5)


def told(runs: Path, protocol: str = "smoke", task: TaskFolder = TASK, *overrides: str) -> str:
    chosen = variant(task.spec, protocol, overrides)
    return prompt(task, shown_variant(task, chosen, chosen.benchmarks), chosen.seeds, BUDGET, runs)


def measured(runs: Path, name: str, kind: str, score: float, status: Status = "scored") -> None:
    for benchmark in ("resnet20-digits", "vgg16bn-digits", HIDDEN):
        for seed in (42, 43):
            setting = Setting(
                task=TASK.spec.id, task_version=1, frozen="f" * 64, benchmark=benchmark, protocol="smoke", seed=seed,
                model="resnet20",
                split_key="a" * 64, sandbox="process", device_kind="cpu", precision="fp32", torch="2", data="d" * 64,
            )  # fmt: skip
            entry = Entry.model_validate({"name": name, "type": kind, "submission": "1" * 64})
            metrics = {"test_acc": score, "mia_auc": 0.5, "privacy_gap": 0.0, "privacy_score": score}
            record = Record(
                job_key=setting.job_key("1" * 64), entry=entry, setting=setting, status=status, metrics=metrics,
                created=datetime(2026, 1, 1, tzinfo=UTC),
            )  # fmt: skip
            write_record(job_folder(runs, setting, entry), record)


def test_it_holds_the_instruction_and_the_numbered_file(tmp_path: Path) -> None:
    text = told(tmp_path)
    assert TASK.instruction().strip() in text
    assert Workbench(TASK, BUDGET).view() in text


def test_it_says_what_really_runs(tmp_path: Path) -> None:
    text = told(tmp_path, "smoke", TASK, "epochs=3", "members=64", "canaries=8")
    assert "The protocol that runs is `smoke+canaries=8+epochs=3+members=64`" in text
    assert "8 examples of each pool have a wrong label" in text
    assert "- `vgg16bn-digits`: 3 epochs, learning rate 0.01, batch 32" in text
    assert "the first 128 examples" in text


def test_it_says_every_budget_and_what_happens_at_its_end(tmp_path: Path) -> None:
    text = told(tmp_path)
    for line in ("- 7 actions", "- 28 replies", "- 2 tests", "- 90 minutes", "- 5000 tokens", "- 1.5 US dollars"):
        assert line in text
    assert "marked as automatic" in text


def test_it_says_that_an_audit_exists(tmp_path: Path) -> None:
    assert "Beside the score stands an audit" in told(tmp_path)


def test_it_says_so_when_the_grading_has_the_public_key(tmp_path: Path) -> None:
    chosen = variant(TASK.spec, "smoke")
    public = prompt(TASK, chosen, chosen.seeds, BUDGET, tmp_path, public=True)
    assert "no test uses (here, the key `public`)" in public
    assert "the key `public`)" not in told(tmp_path)


def test_baselines_have_their_code_and_their_measured_results_with_the_primary_metric(tmp_path: Path) -> None:
    measured(tmp_path, "erm", "baseline", 0.873)
    text = told(tmp_path)
    assert "privacy_score (primary)" in text
    assert "| erm | resnet20-digits | 0.873 | 0.500 | 0.000 | 0.873 |" in text
    assert "Measured here under protocol `smoke`" in text
    for name in TASK.spec.baselines:
        assert baseline_path(TASK.spec.id, name).read_text().strip() in text


def test_a_collapsed_baseline_is_told_as_such(tmp_path: Path) -> None:
    measured(tmp_path, "erm", "baseline", 0.1, "collapsed")
    assert "| erm (collapsed) | resnet20-digits | 0.100 |" in told(tmp_path)


def test_it_says_what_happens_when_something_runs_out(tmp_path: Path) -> None:
    text = told(tmp_path)
    assert "When no test is left, you can still submit one" in text
    assert "or else the latest that has a result although trainings collapsed" in text


def test_results_of_other_entries_are_not_told(tmp_path: Path) -> None:
    measured(tmp_path, "a rival", "agent", 0.999)
    measured(tmp_path, "erm", "agent", 0.999)
    text = told(tmp_path)
    assert "rival" not in text
    assert "0.999" not in text
    assert "No results of the baselines are known for protocol `smoke`." in text


def test_without_measured_ones_the_published_results_are_told_as_such(tmp_path: Path) -> None:
    text = told(tmp_path, "quick")
    assert "Nothing is measured here yet. Published results, of protocol `paper`:" in text
    assert "| erm (scored) | resnet20-cifar10 | 0.891 | 0.569 | 0.045 | 0.822 |" in text
    assert "gpt" not in text


def test_a_hidden_benchmark_is_not_told(tmp_path: Path, hiding: TaskFolder) -> None:
    measured(tmp_path / "runs", "erm", "baseline", 0.873)
    text = told(tmp_path / "runs", "smoke", hiding)
    assert "resnet20-digits" in text
    assert HIDDEN not in text
    assert "hidden" not in text.lower()


def test_a_task_that_tells_of_a_hidden_benchmark_is_a_mistake(hiding: TaskFolder) -> None:
    (hiding.path / "instruction.md").write_text(TASK.instruction())
    with pytest.raises(UserError, match="is hidden, but the task's instruction or template names it"):
        visible(hiding, ["resnet20-digits"])


def test_with_nothing_to_show_there_is_no_work(hiding: TaskFolder) -> None:
    with pytest.raises(UserError, match="nothing to test on"):
        visible(hiding, [HIDDEN])


def test_a_workspace_holds_the_task_the_template_and_the_baselines_and_nothing_else(
    tmp_path: Path, hiding: TaskFolder
) -> None:
    measured(tmp_path / "runs", "erm", "baseline", 0.873)
    measured(tmp_path / "runs", "a rival", "agent", 0.999)
    folder = tmp_path / "work"
    lay_out(hiding, variant(hiding.spec, "smoke"), [], tmp_path / "runs", folder)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    baselines = {f"baselines/{name}.py" for name in TASK.spec.baselines}
    assert found == {"INSTRUCTIONS.md", TASK.spec.contract.file, *baselines}
    everything = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert "0.873" in everything
    assert HIDDEN not in everything
    assert "rival" not in everything


def test_a_workspace_is_not_laid_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine.py").touch()
    with pytest.raises(UserError, match="not an empty folder"):
        lay_out(TASK, variant(TASK.spec, "smoke"), [], tmp_path / "runs", tmp_path)


def test_a_variant_shows_only_what_is_visible(hiding: TaskFolder) -> None:
    chosen = variant(hiding.spec, "smoke")
    assert shown_variant(hiding, chosen, chosen.benchmarks) == replace(
        chosen, benchmarks=("resnet20-digits", "vgg16bn-digits")
    )
