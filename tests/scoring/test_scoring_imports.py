"""Reading a record is cheap, scoring never loads torch, and every promised name is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mlsbench.scoring

LOADED = "import sys, {module}; print(*sorted(m for m in {heavy!r} if m in sys.modules))"


def loaded(module: str, *heavy: str) -> list[str]:
    code = LOADED.format(module=module, heavy=heavy)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("module", ["record", "layout", "text", "selection"])
def test_a_module_of_records_loads_no_numeric_library(module: str) -> None:
    assert loaded(f"mlsbench.scoring.{module}", "sklearn", "scipy", "numpy", "rich", "torch") == []


@pytest.mark.parametrize("module", ["membership", "verdict", "table", "comparison", "audit", "audit_rich", "export"])
def test_no_module_loads_torch(module: str) -> None:
    assert loaded(f"mlsbench.scoring.{module}", "torch") == []


def test_every_exported_name_has_a_home_and_nothing_else_has() -> None:
    assert set(mlsbench.scoring._HOME) == set(mlsbench.scoring.__all__)
    assert all(hasattr(mlsbench.scoring, name) for name in mlsbench.scoring.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mlsbench.scoring.nothing
