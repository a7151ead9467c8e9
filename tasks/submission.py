"""Reads a submission: the one place where a candidate's file is opened.

What is checked here is friendliness: it tells an honest author early and precisely what is wrong with a file. It is
no security boundary, for no reading of Python text can be. That boundary is the sandbox that runs the text.
"""

from __future__ import annotations

import ast
import errno
import hashlib
import os
import re
import stat
import warnings
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NoReturn

from mlsbench import UserError
from mlsbench.tasks.imports import imports
from mlsbench.tasks.loader import TaskFolder
from mlsbench.tasks.spec import Contract

MAX_BYTES = 64 * 1024
MAX_REASON = 500
_MAX_QUOTE = 160


class SubmissionRejected(UserError):
    """The file is no acceptable submission; `reason` says why in one printable line of at most 500 characters."""

    def __init__(self, reason: str, path: Path | None = None) -> None:
        self.reason = _printable(reason)[:MAX_REASON]
        super().__init__(f"{_printable(str(path))}: {self.reason}" if path else self.reason)


@dataclass(frozen=True)
class Submission:
    """What was read: the whole file's text as a worker runs it, the bytes as read and their hex SHA-256.

    `shift` is how far line numbers of `text` are above those of the author's file.
    """

    text: str
    sha256: str
    data: bytes
    shift: int = 0


def read_submission(path: Path, task: TaskFolder) -> Submission:
    """The submission at `path`, a file or a folder that holds one of the contract's name.

    The file is opened once, without following a link, and read once. It is UTF-8 of at most 64 KiB without NUL; a
    leading byte order mark is dropped and all line endings become newlines. Outside the editable region it must equal
    the template, final newlines aside; or it is the region alone, with or without its two marker lines, and gets the
    template's text around it. It must parse, define the contract's class with its methods and import nothing but the
    contract's modules. Raises SubmissionRejected.
    """
    try:
        return parse_submission(_read_once(path, task.spec.contract.file), task)
    except SubmissionRejected as rejection:
        raise SubmissionRejected(rejection.reason, path) from None


def parse_submission(data: bytes, task: TaskFolder) -> Submission:
    """The submission whose file holds `data`, see `read_submission`. Raises SubmissionRejected."""
    contract = task.spec.contract
    if len(data) > MAX_BYTES:
        raise SubmissionRejected(f"larger than {MAX_BYTES} bytes")
    text, shift = _whole(_decode(data), task.template(), contract)
    _check_code(text, shift, contract)
    return Submission(text, hashlib.sha256(data).hexdigest(), data, shift)


def author_lines(report: str, shift: int) -> str:
    """A worker's `report` with the line at its end, or before the probe's call, as the author counts: see
    `Submission.shift`."""
    return re.sub(r"\(line (\d{1,6})\)(?=$|; the call was )", lambda line: f"(line {int(line[1]) - shift})", report)


def _read_once(path: Path, name: str) -> bytes:
    # Without O_NONBLOCK a named pipe would keep us waiting for its writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    opened: list[int] = []
    try:
        opened.append(os.open(path, flags))
        if stat.S_ISDIR(os.fstat(opened[-1]).st_mode):
            opened.append(os.open(name, flags, dir_fd=opened[-1]))
        status = os.fstat(opened[-1])
        if not stat.S_ISREG(status.st_mode):
            raise SubmissionRejected("not a regular file")
        with os.fdopen(opened.pop(), "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, ValueError):  # the latter: a path that no file can have
        raise SubmissionRejected(f"the folder holds no {name}" if opened else "there is no such file") from None
    except OSError as error:
        what = (
            "a symbolic link, which is not followed" if error.errno == errno.ELOOP else f"unreadable: {error.strerror}"
        )
        raise SubmissionRejected(what) from None
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return data


def _decode(data: bytes) -> list[str]:
    """The lines of the file, without empty ones at the end."""
    if b"\0" in data:
        raise SubmissionRejected(f"has a NUL byte at byte {data.index(0)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SubmissionRejected(f"not UTF-8 at byte {error.start}") from None
    return _lines(text)


def _lines(text: str) -> list[str]:
    # Not splitlines, which also breaks at characters that Python's tokenizer keeps within a line.
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")


def _whole(lines: list[str], template: str, contract: Contract) -> tuple[str, int]:
    """The whole file's text, and how far its line numbers are above those of the file that was read."""
    fixed = _lines(template)
    head, tail = fixed[: fixed.index(contract.begin) + 1], fixed[fixed.index(contract.end) :]
    begins = [n for n, line in enumerate(lines) if line == contract.begin]
    ends = [n for n, line in enumerate(lines) if line == contract.end]
    if not begins and not ends:
        return "\n".join([*head, *lines, *tail, ""]), len(head)
    if len(begins) == len(ends) == 1:
        first, last = begins[0] + 1, ends[0]
        if not any(line.strip() for line in lines[: first - 1] + lines[last + 1 :]):
            return "\n".join([*head, *lines[first:last], *tail, ""]), len(head) - first
    _compare(lines[: len(head)], head, 1)
    if len(begins) > 1:
        raise SubmissionRejected(f"line {begins[1] + 1}: a second {contract.begin!r}")
    if not ends:
        _differs(len(lines) + 1, contract.end, None)
    _compare(lines[ends[0] :], tail, ends[0] + 1)
    return "\n".join([*lines, ""]), 0


def _compare(lines: list[str], template: list[str], start: int) -> None:
    for number, (got, expected) in enumerate(zip_longest(lines, template), start):
        if got != expected:
            _differs(number, expected, got)


def _differs(number: int, expected: str | None, got: str | None) -> NoReturn:
    raise SubmissionRejected(
        f"line {number} is outside the editable region and differs from the template: "
        f"expected {_quote(expected)}, got {_quote(got)}"
    )


def _check_code(text: str, shift: int, contract: Contract) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the candidate's, such as odd escapes: nobody here can mend them
            tree = ast.parse(text)
    except SyntaxError as error:
        raise SubmissionRejected(f"line {(error.lineno or 1) - shift}: not valid Python: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise SubmissionRejected("too deeply nested to parse") from None
    for line, module in imports(tree):
        if module not in contract.modules:
            allowed = ", ".join(contract.modules)
            hint = f"; {module} is there after `import torch`" if module.startswith("torch.") else ""
            raise SubmissionRejected(f"line {line - shift}: imports {_quote(module)}; allowed are {allowed}{hint}")
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if contract.class_name not in classes:
        raise SubmissionRejected(f"defines no class {contract.class_name} at the top level")
    missing = contract.methods.keys() - _methods(contract.class_name, classes)
    if missing:
        raise SubmissionRejected(f"class {contract.class_name} has no method {', '.join(sorted(missing))}")


def _methods(name: str, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Functions defined in the class and in those of its bases that stand in the same file."""
    found: set[str] = set()
    waiting, seen = [name], set()
    while waiting:
        current = waiting.pop()
        if current in seen or current not in classes:
            continue
        seen.add(current)
        found |= {node.name for node in classes[current].body if isinstance(node, ast.FunctionDef)}
        waiting += [base.id for base in classes[current].bases if isinstance(base, ast.Name)]
    return found


def _quote(line: str | None) -> str:
    if line is None:
        return "the end of the file"
    text = repr(line)
    return text if len(text) <= _MAX_QUOTE else text[: _MAX_QUOTE - 1] + "…"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)
