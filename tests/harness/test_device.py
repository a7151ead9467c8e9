"""`--device` names what is there, and "auto" takes the CPU where there is no CUDA."""

from __future__ import annotations

from pathlib import Path

import pytest

import mlsbench.harness.device
from mlsbench import UserError
from mlsbench.harness.device import devices


@pytest.fixture
def _no_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mlsbench.harness.device, "DRIVERS", (str(tmp_path / "none"),))


@pytest.fixture
def _driver_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mlsbench.harness.device, "DRIVERS", (str(tmp_path),))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_cpu_is_the_cpu() -> None:
    assert devices("cpu") == ["cpu"]


@pytest.mark.usefixtures("_no_driver")
def test_auto_without_a_driver_is_the_cpu() -> None:
    assert devices("auto") == ["cpu"]


@pytest.mark.usefixtures("_no_driver")
def test_cuda_without_a_driver_is_refused_and_the_way_out_named() -> None:
    with pytest.raises(UserError, match=r"mlsbench doctor.*--device cpu"):
        devices("cuda")


@pytest.mark.parametrize("choice", ["gpu", "cuda:1", "CPU", ""])
def test_another_word_is_refused_and_the_choices_named(choice: str) -> None:
    with pytest.raises(UserError, match=f"--device {choice}: choose auto, cuda or cpu"):
        devices(choice)


@pytest.mark.usefixtures("_driver_alone")
def test_auto_with_a_driver_but_no_device_that_torch_sees_is_the_cpu() -> None:
    assert devices("auto") == ["cpu"]


@pytest.mark.usefixtures("_driver_alone")
def test_the_count_imports_nothing_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("open('planted', 'w')\n")
    monkeypatch.chdir(tmp_path)
    devices("auto")
    assert not (tmp_path / "planted").exists()
