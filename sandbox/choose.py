"""Backends by name, and the strongest one that works."""

from __future__ import annotations

from typing import NamedTuple

from mlsbench import MachineError, UserError
from mlsbench.sandbox.backend import Backend
from mlsbench.sandbox.bubblewrap import Bubblewrap
from mlsbench.sandbox.docker import Docker
from mlsbench.sandbox.process import Process

BACKENDS: tuple[Backend, ...] = (Docker(), Bubblewrap(), Process())  # the strongest first
NAMES = ("auto", *(b.name for b in BACKENDS), "inprocess")


class Choice(NamedTuple):
    """A backend that works, and why stronger ones do not, each in a sentence that begins with its name."""

    backend: Backend
    passed_over: tuple[str, ...] = ()


def backend(name: str, runtime: str | None = None) -> Backend:
    """The backend `name`, whether it works here or not; `runtime` is for containers."""
    return Docker(runtime) if name == Docker.name else next(b for b in BACKENDS if b.name == name)


def choose(name: str, runtime: str | None = None) -> Choice:
    """The backend `name`, or for "auto" the strongest that works, containers if there is a `runtime` for them.

    Raises UserError if there is no such backend, MachineError if it does not work here.
    """
    if name not in NAMES:
        raise UserError(f"there is no sandbox {name!r}; choose one of {', '.join(NAMES)}")
    if runtime is not None and name not in ("auto", Docker.name):
        raise UserError(f"--runtime {runtime} is for containers: add --sandbox docker")
    asked = Docker.name if runtime is not None else name
    reasons: list[str] = []
    for found in BACKENDS:
        if asked in ("auto", found.name):
            chosen = backend(found.name, runtime)
            reason = chosen.unavailable()
            if reason is None:
                return Choice(chosen, tuple(reasons))
            reasons.append(f"{chosen.name} does not work here: {reason}")
    raise MachineError(f"sandbox {'; sandbox '.join(reasons)}")
