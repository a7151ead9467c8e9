"""Backends by name, and the strongest one that works."""

from __future__ import annotations

from mlsbench.sandbox.backend import Backend
from mlsbench.sandbox.bubblewrap import Bubblewrap
from mlsbench.sandbox.docker import Docker
from mlsbench.sandbox.process import Process

BACKENDS: tuple[Backend, ...] = (Docker(), Bubblewrap(), Process())  # the strongest first
NAMES = ("auto", *(b.name for b in BACKENDS), "inprocess")


class UnavailableError(Exception):
    """No such backend works here; the message says why."""


def backend(name: str, runtime: str | None = None) -> Backend:
    """The backend `name`, whether it works here or not; `runtime` is for containers."""
    return Docker(runtime) if name == Docker.name else next(b for b in BACKENDS if b.name == name)


def choose(name: str, runtime: str | None = None) -> Backend:
    """The backend `name`, or for "auto" the strongest that works, containers if there is a `runtime` for them.

    Raises UnavailableError.
    """
    if runtime is not None and name not in ("auto", Docker.name):
        raise UnavailableError(f"--runtime {runtime} is for containers: add --sandbox docker")
    asked = Docker.name if runtime is not None else name
    reasons = []
    for found in BACKENDS:
        if asked in ("auto", found.name):
            chosen = backend(found.name, runtime)
            reason = chosen.unavailable()
            if reason is None:
                return chosen
            reasons.append(f"{chosen.name}: {reason}")
    raise UnavailableError("; ".join(reasons) or f"there is no sandbox {name!r}; choose one of {', '.join(NAMES)}")
