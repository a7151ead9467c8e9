"""Claim: a submission that cannot keep the contract is refused before it runs, with the line and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlsbench.tasks import Submission, SubmissionRejected, TaskFolder, author_lines, read_submission

CLASS = "class MembershipDefense:\n    def compute_loss(self, logits, labels, epoch):\n        return logits.sum()\n"


def read(region: str, task: TaskFolder, folder: Path) -> Submission:
    """The submission whose file is `region` alone."""
    file = folder / "region.py"
    file.write_text(region, encoding="utf-8")
    return read_submission(file, task)


def reason(region: str, task: TaskFolder, folder: Path) -> str:
    """Why a file of `region` alone is rejected; always one capped printable line."""
    with pytest.raises(SubmissionRejected) as caught:
        read(region, task, folder)
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) <= 500
    return caught.value.reason


def test_a_syntax_error_is_shown_with_the_line_of_the_authors_file(task: TaskFolder, tmp_path: Path) -> None:
    assert reason("x = 1\ny = = 2\n" + CLASS, task, tmp_path) == "line 2: not valid Python: invalid syntax"


def test_a_syntax_error_in_a_full_file_has_the_line_of_that_file(task: TaskFolder, tmp_path: Path) -> None:
    text = task.template().replace("return F.cross_entropy(logits, labels)", "return return")
    number = text[: text.index("return return")].count("\n") + 1
    assert reason(text, task, tmp_path).startswith(f"line {number}: not valid Python")


def test_a_syntax_error_between_markers_has_the_line_of_that_file(task: TaskFolder, tmp_path: Path) -> None:
    text = f"\n\n# === EDITABLE ===\nx = = 1\n{CLASS}# === END EDITABLE ===\n"
    assert reason(text, task, tmp_path).startswith("line 4: not valid Python")


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "-" * 60_000 + "1",
        "x = a" + ".b" * 30_000,
        "x = 1" + "+1" * 30_000,
        "x = " + "1 if 1 else " * 5_000 + "1",
        "x = " + "lambda:" * 9_000 + "1",
        "if x: y\n" + "elif x: y\n" * 6_000,
    ],
)
def test_source_too_deep_for_the_parser_is_rejected(task: TaskFolder, tmp_path: Path, source: str) -> None:
    assert reason(f"{source}\n{CLASS}", task, tmp_path) == "too deeply nested to parse"


@pytest.mark.parametrize("source", ["(" * 60_000, "x = " + "9" * 60_000, "if x:\n" * 3_000, "f'" + "{" * 60_000])
def test_other_monstrous_source_is_not_valid_python(task: TaskFolder, tmp_path: Path, source: str) -> None:
    assert "not valid Python" in reason(f"{source}\n{CLASS}", task, tmp_path)


@pytest.mark.filterwarnings("error")
def test_an_odd_escape_is_no_matter_of_the_host(task: TaskFolder, tmp_path: Path) -> None:
    assert read(f'x = "\\d"\n{CLASS}', task, tmp_path).text


@pytest.mark.parametrize(
    "source",
    [
        "import torch",
        "import torch.nn as nn, math",
        "from torch import nn, optim",
        "from torch.nn import functional",
        "def f():\n    import itertools",
        "import collections\nfrom typing import Any",
    ],
)
def test_modules_of_the_contract_may_be_imported(task: TaskFolder, tmp_path: Path, source: str) -> None:
    assert source in read(f"{source}\n{CLASS}", task, tmp_path).text


@pytest.mark.parametrize(
    ("source", "line", "module"),
    [
        ("import os", 1, "os"),
        ("import torch, os.path as p", 1, "os.path"),
        ("import torch.optim", 1, "torch.optim"),
        ("\nfrom numpy import array", 2, "numpy"),
        ("def f():\n    try:\n        import ctypes\n    except ImportError: pass", 3, "ctypes"),
        ("from . import torch", 1, "."),
        ("from .torch import nn", 1, ".torch"),
        ("from __future__ import annotations", 1, "__future__"),
    ],
)
def test_any_other_import_is_refused_with_line_module_and_what_is_allowed(
    task: TaskFolder, tmp_path: Path, source: str, line: int, module: str
) -> None:
    allowed = ", ".join(task.spec.contract.modules)
    hint = "; torch.optim is there after `import torch`" if module == "torch.optim" else ""
    said = f"line {line}: imports {module!r}; allowed are {allowed}{hint}"
    assert reason(f"{source}\n{CLASS}", task, tmp_path) == said


def test_a_monstrous_module_name_is_capped(task: TaskFolder, tmp_path: Path) -> None:
    assert "…; allowed are torch" in reason(f"import {'a' * 50_000}\n{CLASS}", task, tmp_path)


@pytest.mark.parametrize(
    "region",
    ["", "x = 1\n", CLASS.replace("Defense", "Defence"), "if True:\n    " + CLASS.replace("\n", "\n    ")],
)
def test_the_class_must_stand_at_the_top_level(task: TaskFolder, tmp_path: Path, region: str) -> None:
    assert reason(region, task, tmp_path) == "defines no class MembershipDefense at the top level"


@pytest.mark.parametrize(
    "region",
    [
        CLASS.replace("compute_loss", "loss"),
        CLASS.replace("def", "async def"),
        "def compute_loss(): pass\nclass MembershipDefense: pass\n",
        "class MembershipDefense(torch.nn.Module, MembershipDefense): pass\n",
        CLASS + "class MembershipDefense: pass\n",
    ],
)
def test_the_class_must_have_the_method(task: TaskFolder, tmp_path: Path, region: str) -> None:
    assert reason(region, task, tmp_path) == "class MembershipDefense has no method compute_loss"


def test_the_method_may_come_from_a_base_in_the_same_file(task: TaskFolder, tmp_path: Path) -> None:
    assert read(CLASS.replace("MembershipDefense", "Base") + "class MembershipDefense(Base): pass\n", task, tmp_path)


def test_nothing_of_the_file_is_executed(task: TaskFolder, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    read(f"open({str(trace)!r}, 'w')\n{CLASS}", task, tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize("rest", ["", "; the call was compute_loss(logits) with 32 examples"])
def test_a_line_is_counted_as_its_author_counts_it(rest: str) -> None:
    assert (
        author_lines(f"raised ValueError: (line 9) (line 12){rest}", 3) == f"raised ValueError: (line 9) (line 9){rest}"
    )
