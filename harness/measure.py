"""A task's own code: what its metrics are made of. It is trusted, as the task is."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from typing import Any

FILE = "measure.py"


class MeasureError(ValueError):
    """The task's `measure` is not what it must be; the text says how."""


class Measure:
    """The function `measure` that the text `code` defines. names: the metrics that the specification has."""

    def __init__(self, code: str, names: Sequence[str]) -> None:
        self.names = tuple(names)
        module = types.ModuleType("measure")
        exec(compile(code, FILE, "exec", dont_inherit=True), module.__dict__)
        measure = getattr(module, "measure", None)
        if not callable(measure):
            raise MeasureError(f"the task's {FILE} defines no function measure")
        self._measure: Callable[[Any], Any] = measure

    def __call__(self, result: Any) -> dict[str, float | None]:
        """The metrics of `result` in the specification's order; None where there is no number.

        Raises MeasureError if they are not the specification's, and whatever the function raises.
        """
        given = self._measure(result)
        if not isinstance(given, dict) or set(given) != set(self.names):
            found = ", ".join(map(str, given)) if isinstance(given, dict) else type(given).__name__
            raise MeasureError(f"the task's {FILE} gave {found}, not {', '.join(self.names)}")
        return {name: _number(name, given[name]) for name in self.names}


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not math.isfinite(number := float(value)):
        raise MeasureError(f"the task's {FILE} gave {number} for {name}; None stands for no number")
    return number
