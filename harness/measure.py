"""A task's own code: what its metrics are made of. It is trusted, as the task is."""

from __future__ import annotations

import math
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlsbench.scoring.text import clean

FILE = "measure.py"
AT_FAULT = f"the task's {FILE} "  # begins the text of every MeasureError
LARGEST = 1e9  # that a record takes


class MeasureError(ValueError):
    """The task's `measure` is not what it must be; the text says how."""


class Measure:
    """The function `measure` that the text `code` defines. names: the metrics that the specification has."""

    def __init__(self, code: str, names: Sequence[str]) -> None:
        self.names = tuple(names)
        module = types.ModuleType("measure")
        with _blamed():
            exec(compile(code, FILE, "exec", dont_inherit=True), module.__dict__)
        measure = getattr(module, "measure", None)
        if not callable(measure):
            raise MeasureError(f"{AT_FAULT}defines no function measure")
        self._measure: Callable[[Any], Any] = measure

    def __call__(self, result: Any) -> dict[str, float | None]:
        """The metrics of `result` in the specification's order; None where there is no number.

        Raises MeasureError if the function raises, or gives other metrics or what is no number.
        """
        with _blamed():
            given = self._measure(result)
        if not isinstance(given, dict) or set(given) != set(self.names):
            found = ", ".join(map(str, given)) if isinstance(given, dict) else type(given).__name__
            raise MeasureError(f"{AT_FAULT}gave {found}, not {', '.join(self.names)}")
        return {name: _number(name, given[name]) for name in self.names}


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    with _blamed():
        number = float(value)
    if not math.isfinite(number):
        raise MeasureError(f"{AT_FAULT}gave {number} for {name}; None stands for no number")
    if abs(number) > LARGEST:
        raise MeasureError(f"{AT_FAULT}gave {number} for {name}; a metric is from -{LARGEST:g} to {LARGEST:g}")
    return number


@contextmanager
def _blamed() -> Iterator[None]:
    """Says of what is raised within that it is the task's, and in which line of its file."""
    try:
        yield
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
        lines += [error.lineno] if isinstance(error, SyntaxError) and error.filename == FILE else []
        where = f" (line {lines[-1]})" if lines else ""
        raise MeasureError(f"{AT_FAULT}raised {type(error).__name__}: {clean(str(error), 300)}{where}") from error
