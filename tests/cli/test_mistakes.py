"""A user's mistake ends with one message that says what and how to mend it, status 2, and never a traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlsbench.harness.device
from mlsbench.tasks import get_task

TASK = "security-membership-inference-defense"
TEMPLATE = get_task(TASK).path / get_task(TASK).spec.contract.file
RUN = ("run", TASK, "--submission", TEMPLATE, "--sandbox", "process")
TINY = (*RUN, "--protocol", "smoke", "--benchmark", "resnet20-digits", "--seed", "42", "--device", "cpu")

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The current folder, the data and, whatever this machine has, no GPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLSBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(mlsbench.harness.device, "DRIVERS", ())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", TASK[:-1]), f"did you mean {TASK}"),
        (("run", TASK[:-1], "--submission", TEMPLATE), f"did you mean {TASK}"),
        (("validate", "nothing-like-it", "--submission", TEMPLATE), "there is no task 'nothing-like-it'"),
        ((*RUN, "--protocol", "smok"), "there is no protocol 'smok'; choose one of paper, overfit, quick, smoke"),
        ((*RUN, "--protocol", "smoke", "--benchmark", "x"), "--benchmark x: this protocol has resnet20-digits,"),
        ((*RUN, "--protocol", "smoke", "--benchmark", "resnet20-cifar10"), "this protocol has resnet20-digits,"),
        ((*TINY, "--seed", "-1"), "--seed: give a whole number from 0"),
        ((*TINY, "--seed", 1 << 63), "--seed: give a whole number from 0"),
        ((*TINY, "--override", "epochs"), "--override epochs=: give a whole number"),
        ((*TINY, "--override", "lr=1"), "legal keys are epochs, batch, members, canaries and precision"),
        ((*TINY, "--override", "members=800"), "resnet20-digits has room for 718"),
        ((*TINY, "--key", "nowhere"), "key file 'nowhere' cannot be opened"),
        ((*TINY, "--key", "."), "key file '.' is not a regular file"),
        ((*TINY, "--device", "tpu"), "--device tpu: choose auto, cuda or cpu"),
        ((*TINY, "--device", "cuda"), "torch sees no CUDA device"),
        ((*TINY, "--sandbox", "gvisor"), "choose one of auto, docker, bubblewrap, process, inprocess"),
        ((*TINY, "--runtime", "runsc"), "--runtime runsc is for containers: add --sandbox docker"),
        ((*TINY, "--name", " "), "--name: give a name"),
        ((*TINY, "--runs", "file"), "file/"),
        ((*TINY, "--runs", "file/below"), "file/below/"),
        ((*TINY, "--runs", "/proc/mlsbench"), "--runs must name a folder"),
        (("run", TASK, "--submission", "none.py"), "none.py"),
        (("run", TASK), "Missing option '--submission'"),
        ((*RUN, "--seed", "many"), "Invalid value for '--seed'"),
        (("baselines", TASK, "--only", "magic"), "--only magic: the baselines are erm,"),
        (("table", TASK, "--protocol", "pape"), "choose one of paper,"),
        (("table", TASK, "--key", "file"), "key file 'file'"),
        (("table", TASK, "--compare", "a", "b"), "'a'"),
        (("schema", "task"), "schema"),
        (("data", "prepare", "svhn"), "choose from cifar10, cifar100, digits, fashion_mnist"),
        (("data", "prepare", "cifar10", "--from", "nowhere"), "nowhere"),
        (("frobnicate",), "No such command 'frobnicate'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_message_with_status_two(
    call: Call, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o600)
    status, output, errors = call(*arguments)
    assert message in errors
    assert (status, output) == (2, "")
    assert errors.startswith(("error: ", "Usage: "))
    assert not errors.startswith("error: ") or errors.count("\n") == 1
    assert "Traceback" not in errors


def test_a_missing_dataset_is_told_with_the_command_that_prepares_it(call: Call, tmp_path: Path) -> None:
    status, _, errors = call(*RUN, "--device", "cpu", "--benchmark", "resnet20-cifar10")
    assert status == 2
    assert f"not prepared in {tmp_path / 'data'}: cifar10. Run `mlsbench data prepare cifar10`" in errors


def test_a_data_folder_that_is_a_file_is_told(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLSBENCH_DATA", str(tmp_path / "file"))
    status, output, _ = call("data", "status")
    assert (status, "cifar10: missing" in output) == (0, True)
    status, _, errors = call(*RUN, "--device", "cpu")
    assert (status, str(tmp_path / "file") in errors) == (2, True)


def test_a_protocol_of_days_is_refused_on_a_cpu_before_data_are_asked_for(call: Call) -> None:
    status, output, errors = call(*RUN)
    assert (status, output) == (2, "")
    assert "protocol paper would take about" in errors
    for word in ("hours", "--protocol smoke", "--device cpu"):
        assert word in errors
    assert "data prepare" not in errors


def test_device_cpu_goes_on_regardless_of_the_time(call: Call) -> None:
    _, _, errors = call(*RUN, "--device", "cpu")
    assert "hours" not in errors
    assert "mlsbench data prepare cifar10 cifar100 fashion_mnist" in errors


def test_a_file_that_is_no_submission_is_rejected_with_status_three(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("class MembershipDefense:\n")
    for arguments in (("run", TASK), ("validate", TASK)):
        status, output, errors = call(*arguments, "--submission", "bad.py")
        assert (status, output) == (3, "")
        assert errors.startswith("rejected: bad.py: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_runs_folder_without_permission_is_told(call: Call, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    status, _, errors = call(*TINY, "--runs", "closed")
    assert (status, "Permission denied" in errors) == (2, True)


def test_letters_that_the_output_cannot_encode_do_not_end_a_command(mlsbench_run: Any, tmp_path: Path) -> None:
    done = mlsbench_run("table", TASK, "--runs", tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, "acc ?" in done.stdout) == (0, True)


def test_a_closed_pipe_is_no_error_to_show(command: str) -> None:
    process = subprocess.Popen([command, "schema", "record"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait()
