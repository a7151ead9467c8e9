"""The strongest sandbox that works is taken, and a wish that no sandbox can meet is a sentence."""

from __future__ import annotations

import pytest

from mlsbench import MachineError, UserError
from mlsbench.sandbox.choose import BACKENDS, backend, choose


def test_what_stands_first_has_every_wall_of_what_follows() -> None:
    walls = [(b.holds_trainer, b.capped, b.namespaces) for b in BACKENDS]
    assert walls == sorted(walls, reverse=True)
    assert walls[-1] == (False, False, False)


def test_without_an_engine_auto_takes_another_sandbox() -> None:
    assert choose("auto").backend.name in ("bubblewrap", "process")


def test_a_runtime_means_containers_whatever_else_would_work() -> None:
    with pytest.raises(MachineError, match=r"^sandbox docker does not work here: no Docker engine runs at"):
        choose("auto", "runsc")


def test_a_runtime_for_a_sandbox_without_containers_is_refused() -> None:
    with pytest.raises(UserError, match="--runtime runsc is for containers: add --sandbox docker"):
        choose("process", "runsc")


@pytest.mark.parametrize("name", [b.name for b in BACKENDS])
def test_a_backend_has_its_name(name: str) -> None:
    assert backend(name).name == name
