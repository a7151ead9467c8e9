"""A list of submissions, one JSON object a line, checked as a whole before anything runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlsbench import UserError
from mlsbench.cli.run import EntryType
from mlsbench.scoring import Entry, slug
from mlsbench.scoring.record import NAME_LIMIT
from mlsbench.scoring.text import clean
from mlsbench.tasks import Submission, SubmissionRejected, TaskFolder, get_task, read_submission

EXAMPLE = '{"task": "security-membership-inference-defense", "submission": "mine.py", "name": "mine", "type": "agent"}'
_SHOWN = 20


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    task: str
    submission: str = Field(min_length=1)
    name: str = ""
    type: EntryType = EntryType.vanilla


@dataclass(frozen=True)
class Listed:
    """A line of the list: its entry and submission, or if both are None the reason why the file is no submission.

    `repeats` is an earlier line that says the same, or None.
    """

    line: int
    task: TaskFolder
    path: str
    name: str
    type: str
    entry: Entry | None
    submission: Submission | None
    reason: str = ""
    repeats: int | None = None


def read_list(path: Path) -> list[Listed]:
    """The lines of the list at `path`; the submissions' paths are relative to its folder, empty lines are none.

    An object has the keys task and submission, and may have name (the file's if not given) and type (vanilla if not
    given). Raises UserError that names file and line of every mistake. A file that is there but is no acceptable
    submission is no mistake of the list.
    """
    try:
        texts = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise UserError(f"--submission {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}") from None
    listed: list[Listed] = []
    mistakes = []
    open_task = cache(get_task)
    earlier: dict[tuple[str, str, str], list[Listed]] = {}
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            new = _read(number, text, path.parent, open_task)
            content = new.entry.submission if new.entry else new.path
            namesakes = earlier.setdefault((new.task.spec.id, new.type, content), [])
            new = _same_as_before(new, namesakes)
        except UserError as mistake:
            mistakes.append(f"{path}, line {number}: {mistake}")
        else:
            namesakes.append(new)
            listed.append(new)
    if mistakes:
        more = [f"and {len(mistakes) - _SHOWN} more"] if len(mistakes) > _SHOWN else []
        raise UserError("\n".join([f"nothing was run: {len(mistakes)} to mend", *mistakes[:_SHOWN], *more]))
    if not listed:
        raise UserError(f"{path} lists nothing; a line is like {EXAMPLE}")
    return listed


def _read(number: int, text: str, folder: Path, open_task: Callable[[str], TaskFolder]) -> Listed:
    try:
        line = _Line.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        what = ".".join(map(str, first["loc"]))
        raise UserError(f"{what + ': ' if what else ''}{first['msg']}; a line is like {EXAMPLE}") from None
    task, path = open_task(line.task), folder / line.submission
    if not os.path.lexists(path):
        raise UserError(f"there is no {clean(str(path), 300)}; paths are relative to the list's folder")
    name = clean(line.name or path.resolve().stem, NAME_LIMIT)
    if not name:
        raise UserError("name: give at least one printable character")
    try:
        submission = read_submission(path, task)
    except SubmissionRejected as rejected:
        return Listed(number, task, line.submission, name, line.type.value, None, None, rejected.reason)
    entry = Entry(name=name, type=line.type.value, submission=submission.sha256)
    return Listed(number, task, line.submission, name, line.type.value, entry, submission)


def _same_as_before(new: Listed, namesakes: list[Listed]) -> Listed:
    """`new` with a mark if it repeats one of `namesakes`, earlier lines of the same task, type and submission."""
    for old in namesakes:
        if old.name == new.name:
            return replace(new, repeats=old.repeats or old.line)
        if new.entry and slug(old.name) == slug(new.name):
            raise UserError(
                f"name: {clean(new.name, 60)!r} and {clean(old.name, 60)!r} of line {old.line} would share a folder: "
                "the submission is the same, and names must differ in letters or digits"
            )
    return new
