"""The image's commands say what is missing, with the exit code of a failure that is nobody's submission's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("verb", ["build", "check"])
def test_no_engine(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    status, output, errors = call("image", verb)
    assert (status, output) == (4, "")
    assert errors.startswith(
        f"error: no Docker engine runs at unix://{tmp_path}/docker.sock: start the one that DOCKER_HOST names"
    )
    assert errors.count("\n") == 1


def test_an_engine_on_another_machine(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://user@machine")
    status, _, errors = call("image", "build")
    assert (status, errors.startswith("error: the Docker engine at ssh://user@machine cannot be used")) == (4, True)


def test_wrong_usage(call: Call) -> None:
    assert call("image", "build", "--tag", "x")[0] == 2
