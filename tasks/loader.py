"""Reads a task folder: its specification, template, instruction and published rows."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from mlsbench import UserError
from mlsbench.tasks.array import Model, Name
from mlsbench.tasks.imports import imports
from mlsbench.tasks.spec import Count, Task

SPEC = "task.toml"
INSTRUCTION = "instruction.md"
MEASURE = "measure.py"
PUBLISHED = "published.csv"
CATALOGUE = Path(__file__).parent / "catalogue.toml"
MEASURE_MAY_IMPORT = ("mlsbench", "numpy", "scipy", "sklearn")  # beside the standard library


class PublishedRow(Model):
    """An entry's published numbers on one benchmark; `row` is the table row, so two rows of one name stay apart."""

    row: Count
    name: str
    type: Literal["baseline", "vanilla", "agent"]
    benchmark: Name
    metrics: dict[Name, float | None]
    status: Literal["scored", "collapsed", "missing"]


@dataclass(frozen=True)
class TaskFolder:
    """A task: its folder and its validated specification. The other files are read when they are asked for."""

    path: Path
    spec: Task

    def template(self) -> str:
        """The template's text, which has each marker line exactly once, `begin` before `end`."""
        contract = self.spec.contract
        file = self.path / contract.file
        text = _read_text(file)
        lines = text.split("\n")
        if not (lines.count(contract.begin) == lines.count(contract.end) == 1) or (
            lines.index(contract.begin) > lines.index(contract.end)
        ):
            raise UserError(
                f"{file}: needs the lines {contract.begin!r} and {contract.end!r}, once each, in this order"
            )
        return text

    def instruction(self) -> str:
        """What the reader who is to solve the task gets to read, as Markdown."""
        return _read_text(self.path / INSTRUCTION)

    def measure(self) -> str:
        """The text of the code that makes metrics of a result: it defines `measure`.

        Raises UserError for a mistake in its syntax and for an import of what is not there wherever a job may run.
        """
        file = self.path / MEASURE
        text = _read_text(file)
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError) as error:  # the latter for NUL bytes in older Pythons
            raise UserError(f"{file}, line {getattr(error, 'lineno', 1)}: {getattr(error, 'msg', error)}") from None
        except (RecursionError, MemoryError):
            raise UserError(f"{file}: too deeply nested to parse") from None
        for line, module in imports(tree):
            name = module.partition(".")[0]  # "" of a relative one
            if name not in MEASURE_MAY_IMPORT and name not in sys.stdlib_module_names:
                raise UserError(
                    f"{file}, line {line}: imports {name or 'from its own package'}, and a job may run where that is "
                    f"not installed; beside the standard library it may import {', '.join(MEASURE_MAY_IMPORT)}"
                )
        return text

    def published(self) -> list[PublishedRow]:
        """The published results in file order, no rows if the task has none; an empty cell is a metric of None."""
        file = self.path / PUBLISHED
        if not file.exists():
            return []
        fixed = ["row", "name", "type", "benchmark", "status"]
        metrics = [metric.name for metric in self.spec.metrics]
        reader = csv.DictReader(_read_text(file).splitlines())
        if sorted(reader.fieldnames or []) != sorted(fixed + metrics):
            raise UserError(f"{file}: its columns must be {', '.join(fixed + metrics)}")
        rows = []
        for cells in reader:
            if None in cells:
                raise UserError(f"{file}, line {reader.line_num}: has more cells than columns")
            values = {metric: cells[metric] or None for metric in metrics}
            try:
                rows.append(PublishedRow.model_validate({key: cells[key] for key in fixed} | {"metrics": values}))
            except ValidationError as error:
                raise UserError(_explain(f"{file}, line {reader.line_num}", error)) from None
            if rows[-1].benchmark not in self.spec.benchmarks:
                raise UserError(f"{file}, line {reader.line_num}: there is no benchmark {rows[-1].benchmark!r}")
        return rows

    def digest(self) -> str:
        """Hex SHA-256 over the specification, as JSON with what it takes from the catalogue, template and measure."""
        spec = json.dumps(self.spec.model_dump(mode="json"), sort_keys=True)  # whatever the order of its tables
        parts = (spec, self.template(), self.measure())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load_task(folder: Path) -> Task:
    """The validated specification in `folder`/task.toml.

    Types are taken literally: "100" is no number and 1 no truth value. Raises UserError that names the file and
    every offending key.
    """
    file = folder / SPEC
    try:
        content = tomllib.loads(_read_text(file))
        # By way of JSON, because only there strict validation takes arrays for tuples; TOML's dates become strings.
        document = json.dumps(_with_catalogue(content), default=str)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{file}: not valid TOML: {error}") from None
    try:
        return Task.model_validate_json(document, strict=True)
    except ValidationError as error:
        raise UserError(_explain(str(file), error)) from None


def _with_catalogue(content: dict[str, Any]) -> dict[str, Any]:
    """`content` and what its protocols, and the benchmarks of these, name without its being defined there."""
    known = tomllib.loads(_read_text(CATALOGUE))
    own: dict[str, dict[str, Any]] = {}
    for kind in known:
        own[kind] = content.get(kind, {})
        if not isinstance(own[kind], dict):
            return content  # validation says so
    lists = [protocol.get("benchmarks") for protocol in _tables(content.get("protocols"))]
    used = [name for names in lists if isinstance(names, list) for name in names]
    benchmarks = own["benchmarks"] | _missing(used, own["benchmarks"], known["benchmarks"])
    named = [benchmark.get("dataset") for benchmark in _tables(benchmarks)]
    datasets = own["datasets"] | _missing(named, own["datasets"], known["datasets"])
    return content | {"benchmarks": benchmarks, "datasets": datasets}


def _tables(value: object) -> list[dict[str, Any]]:
    return [table for table in value.values() if isinstance(table, dict)] if isinstance(value, dict) else []


def _missing(names: Sequence[object], own: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: known[name] for name in names if isinstance(name, str) and name in known and name not in own}


def open_task(folder: Path) -> TaskFolder:
    """The task in `folder`; raises UserError as `load_task` does."""
    return TaskFolder(folder, load_task(folder))


def spec_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a task.toml."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Task.model_json_schema()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None


def _read_text(file: Path) -> str:
    try:
        return _read(file).decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 at byte {error.start}") from None


def _explain(where: str, error: ValidationError) -> str:
    """One line for each mistake: the key in dotted TOML form and what is wrong with it."""
    lines = []
    for mistake in error.errors(include_url=False):
        key = _dotted(mistake["loc"])
        message = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            message = "unknown key"
        elif mistake["type"] == "missing":
            message = "missing"
        elif not isinstance(mistake["input"], dict):
            message += f", got {_short(mistake['input'])}"
        lines.append(f"  {key}: {message}" if key else f"  {message}")
    return "\n".join([f"{where}: {len(lines)} mistake{'s' if len(lines) > 1 else ''}", *lines])


def _dotted(location: Sequence[int | str]) -> str:
    """The key that a pydantic location means, such as `metrics[0].name` or `benchmarks."a b".size`."""
    key = ""
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        elif part != "[key]":  # pydantic's mark that a table's key, not its value, is wrong
            name = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part)
            key += f".{name}" if key else name
    return key


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
