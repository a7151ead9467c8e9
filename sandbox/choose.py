"""Backends by name, and the strongest one that works."""

from __future__ import annotations

from mlsbench.sandbox.backend import Backend
from mlsbench.sandbox.bubblewrap import Bubblewrap
from mlsbench.sandbox.process import Process

BACKENDS: tuple[Backend, ...] = (Bubblewrap(), Process())  # the strongest first
NAMES = ("auto", *(b.name for b in BACKENDS), "inprocess")


class UnavailableError(Exception):
    """No such backend works here; the message says why."""


def choose(name: str) -> Backend:
    """The backend `name`, or for "auto" the strongest that works. Raises UnavailableError."""
    reasons = []
    for backend in BACKENDS:
        if name in ("auto", backend.name):
            reason = backend.unavailable()
            if reason is None:
                return backend
            reasons.append(f"{backend.name}: {reason}")
    raise UnavailableError("; ".join(reasons) or f"there is no sandbox {name!r}; choose one of {', '.join(NAMES)}")
