"""What a Python text imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and module of each import statement, wherever it stands; a relative module keeps its dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
