"""Each command says how it is used, answers, and costs no more imports than it needs."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mlsbench import __version__
from mlsbench.scoring.record import record_schema
from mlsbench.tasks import get_task

TASK = "security-membership-inference-defense"
FOLDER = get_task(TASK)
SUITE = (
    "security-membership-inference-attack", "security-membership-inference-defense",
    "security-membership-inference-set-defense", "security-poison-robust-learning",
)  # fmt: skip
COMMANDS = [("list",), ("show",), ("schema",), ("validate",), ("run",), ("baselines",), ("grade",), ("table",),
            ("agent",), ("workspace",), ("new-task",),
            ("audit",), ("report",), ("verify",), ("doctor",), ("data",), ("data", "prepare"), ("data", "status"),
            ("image",), ("image", "build"), ("image", "check"), ("clean",)]  # fmt: skip

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("words", [(), *COMMANDS], ids=" ".join)
def test_help_explains_and_shows_an_example(call: Call, words: tuple[str, ...]) -> None:
    status, output, errors = call(*words, "--help")
    assert (status, errors) == (0, "")
    assert "Example: mlsbench " in output
    assert call(*words, "-h")[1] == output


def test_every_command_that_help_lists_is_tested_here(call: Call) -> None:
    listed = {line.split()[0] for line in call("--help")[1].split("Commands:\n")[1].splitlines()}
    assert listed == {words[0] for words in COMMANDS}


@pytest.mark.parametrize("words", [("--help",), ("list",), ("show", TASK), ("--version",), ("schema", "record")])
def test_what_shows_text_imports_no_torch(words: tuple[str, ...]) -> None:
    code = (
        "import sys; from mlsbench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('torch', 'torchvision', 'sklearn', 'scipy', 'docker')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_version_is_the_packages(call: Call) -> None:
    assert call("--version") == (0, f"{__version__}\n", "")


def test_list_names_the_tasks_of_the_suite_and_their_titles(call: Call) -> None:
    assert call("list")[1].splitlines() == [f"{name}: {get_task(name).spec.title}" for name in SUITE]


@pytest.mark.parametrize("task", SUITE)
def test_show_has_the_instruction_every_protocol_benchmark_and_baseline(call: Call, task: str) -> None:
    folder = get_task(task)
    status, output, _ = call("show", task)
    assert status == 0
    assert folder.instruction().strip() in output
    for name in (*folder.spec.protocols, *folder.spec.benchmarks, *folder.spec.baselines):
        assert name in output
    assert "paper (default)" in output


@pytest.mark.parametrize("what", ["spec", "record"])
def test_schema_is_a_json_schema(call: Call, what: str) -> None:
    status, output, _ = call("schema", what)
    assert status == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(output))


def test_the_schema_of_specifications_accepts_the_tasks_own(call: Call) -> None:
    schema = json.loads(call("schema", "spec")[1])
    jsonschema.validate(tomllib.loads((FOLDER.path / "task.toml").read_text()), schema)


def test_the_schema_of_records_is_that_of_the_records(call: Call) -> None:
    assert json.loads(call("schema", "record")[1]) == record_schema()


def test_validate_accepts_the_template(call: Call) -> None:
    status, output, errors = call(
        "validate", TASK, "--submission", FOLDER.path, "--protocol", "smoke", "--sandbox", "process"
    )
    assert (status, errors) == (0, "")
    assert output.startswith("accepted: ")
    assert "sandbox process" in output


def test_validate_rejects_a_loss_that_breaks_the_contract_with_its_line(call: Call, candidate: Any) -> None:
    path = candidate("return [logits][1]")
    status, output, errors = call("validate", TASK, "--submission", path, "--protocol", "smoke", "--sandbox", "process")
    line = path.read_text().splitlines().index("        return [logits][1]") + 1
    assert (status, output) == (3, "")
    asked = "the call was compute_loss(logits, labels, epoch) with 128 examples, 10 classes, epoch 0"
    assert errors == f"rejected: raised IndexError: list index out of range (line {line}); {asked}\n"


def test_the_line_of_an_error_is_that_of_the_authors_file_if_it_is_the_region_alone(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "region.py"
    path.write_text(
        "class MembershipDefense:\n    def compute_loss(self, logits, labels, epoch):\n        return [logits][1]\n"
    )
    status, _, errors = call("validate", TASK, "--submission", path, "--protocol", "smoke", "--sandbox", "process")
    assert status == 3
    assert errors.startswith("rejected: raised IndexError: list index out of range (line 3); the call was ")


def test_doctor_is_well_where_a_submission_can_run(mlsbench_run: Any, tmp_path: Path) -> None:
    done = mlsbench_run("doctor", MLSBENCH_DATA=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok    sandbox process: works" in done.stdout
    assert "note  data cifar10: missing\n      mlsbench data prepare cifar10\n" in done.stdout


def test_doctor_fails_where_torch_cannot_be_imported(mlsbench_run: Any, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart is missing')\n")
    done = mlsbench_run("doctor", PYTHONPATH=str(tmp_path), MLSBENCH_DATA=str(tmp_path))
    assert done.returncode == 1
    assert "note  torch: cannot be imported: libcudart is missing\n      pip install torch torchvision" in done.stdout


def test_data_status_names_every_dataset_and_the_command_for_what_is_missing(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cifar100.npz").write_bytes(b"no archive")
    monkeypatch.setenv("MLSBENCH_DATA", str(tmp_path))
    status, output, _ = call("data", "status")
    assert status == 0
    assert "cifar10: missing  run: mlsbench data prepare cifar10\n" in output
    assert "cifar100: damaged: " in output
    assert "digits: built in\n" in output


def test_fashion_mnist_is_prepared_from_a_folder_and_then_ready(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = Path("/usr/share/datasets/fashion-mnist")
    if not source.is_dir():
        pytest.skip(f"no {source}: the Debian package dataset-fashion-mnist has it")
    monkeypatch.setenv("MLSBENCH_DATA", str(tmp_path))
    status, output, _ = call("data", "prepare", "fashion_mnist", "--from", source)
    assert (status, output) == (0, f"fashion_mnist: ready in {tmp_path / 'fashion_mnist.npz'}\n")
    assert "fashion_mnist: ready" in call("data", "status")[1]
