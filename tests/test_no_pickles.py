"""No module reads what can run code as it is read: data are arrays, weights safetensors, records JSON."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mlsbench

PACKAGE = Path(mlsbench.__file__).parent
MODULES = sorted(str(p.relative_to(PACKAGE)) for part in PACKAGE.iterdir() for p in part.rglob("*.py"))
BANNED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def suspicious(tree: ast.Module) -> list[str]:
    """What in a module could unpickle."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in BANNED]
        elif isinstance(node, ast.ImportFrom) and node.module in BANNED:
            found.append(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "torch.jit.load"):
            found.append(ast.unparse(node.func))
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            found.append("allow_pickle")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_no_module_unpickles(module: str) -> None:
    assert suspicious(ast.parse((PACKAGE / module).read_text())) == []


@pytest.mark.parametrize("line", ["import pickle", "torch.load(f)", "np.load(f, allow_pickle=True)"])
def test_what_could_unpickle_is_seen(line: str) -> None:
    assert suspicious(ast.parse(line)) != []
