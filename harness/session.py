"""Sessions as a task's specification wants them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from mlsbench import MachineError
from mlsbench.sandbox.backend import Backend, Limits, installed_torch
from mlsbench.sandbox.channel import SandboxError
from mlsbench.sandbox.choose import backend, choose
from mlsbench.sandbox.docker import Docker
from mlsbench.sandbox.frames import Array, Contract, Method
from mlsbench.sandbox.image import BUILD
from mlsbench.sandbox.session import Session, WorkerSession, names_lazy_parts
from mlsbench.tasks import Task


@contextmanager
def open_session(spec: Task, sandbox: str | Backend, log: Path, text: str | None = None) -> Iterator[Session]:
    """A session in `sandbox`, a backend or the name of one; its process tree is gone at the end.

    text: what will be loaded, if that is known by now; most candidates then have a worker sooner.
    """
    session: Session
    if sandbox == "inprocess":
        from mlsbench.sandbox.inprocess import (
            InProcessSession,
        )  # imports torch, which a worker's start need not wait for

        session = InProcessSession(wire_contract(spec))
    else:
        chosen = backend(sandbox) if isinstance(sandbox, str) else sandbox
        lazy_parts = text is None or names_lazy_parts(text)
        session = WorkerSession(chosen, wire_contract(spec), _limits(spec), log, lazy_parts)
    try:
        yield session
    finally:
        session.close()


class Sandbox(NamedTuple):
    """What a choice of sandbox means here: its name, the version of torch in it, and what its user should know."""

    name: str
    torch: str
    note: str = ""


def choose_sandbox(choice: str, runtime: str | None = None) -> Sandbox:
    """The sandbox that `choice` means here, swept. Raises UserError, or MachineError if it does not work."""
    if choice == "inprocess":
        return Sandbox(choice, installed_torch())
    chosen, passed_over = choose(choice, runtime)
    if chosen.holds_trainer:
        with suppress(SandboxError):  # what a killed command left goes, though there may be nothing left to run
            Docker().sweep()
    # An engine that is not there was not meant to be used; one without this package's image probably was.
    ready = [reason for reason in passed_over if BUILD in reason]
    note = f"sandbox {chosen.name}, because {'; '.join(ready)}" if ready else ""
    try:
        return Sandbox(chosen.name, chosen.torch(), note)
    except SandboxError as error:
        raise MachineError(f"sandbox {chosen.name}: {error}") from None


def wire_contract(spec: Task) -> Contract:
    """The contract of a task's specification in the form that the sandbox speaks."""
    methods = tuple(wire_method(spec, name) for name in spec.contract.methods)
    return Contract(spec.contract.class_name, methods, spec.contract.modules)


def wire_method(spec: Task, name: str) -> Method:
    """The method `name` of a task's contract in the form that the sandbox speaks."""
    method = spec.contract.methods[name]
    sides = [tuple(Array(a.name, a.dtype, a.shape, a.gradient) for a in s) for s in (method.inputs, method.outputs)]
    return Method(name, *sides)


def _limits(spec: Task) -> Limits:
    given = spec.limits
    return Limits(
        given.call_seconds, given.start_seconds, given.job_seconds, given.memory_mib << 20, given.log_kib << 10
    )
