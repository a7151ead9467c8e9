"""After all tests of containers nothing of them is left. It runs last."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from container_jobs import containers, folders
from docker import DockerClient

SUPERVISOR = b"mlsbench.harness.supervisor"


def test_no_container(client: DockerClient, image: str) -> None:
    assert not containers()
    assert not client.api.containers(all=True, filters={"label": "mlsbench.role=check"})


def test_no_volume(client: DockerClient) -> None:
    assert not [v for v in client.volumes.list() if any(n.startswith("mlsbench") for n in v.attrs["Labels"] or {})]


def test_no_supervisor() -> None:
    """Of this engine's; what runs in containers is gone with them."""
    left, engine = [], f"DOCKER_HOST={os.environ.get('DOCKER_HOST', '')}".encode()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # no process, or gone, or another user's
            if SUPERVISOR in (entry / "cmdline").read_bytes() and engine in (entry / "environ").read_bytes():
                left.append(entry.name)
    assert not left


def test_no_folder_or_socket() -> None:
    assert not folders()


def test_no_half_written_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert not list(tmp_path_factory.getbasetemp().rglob(".*.tmp"))
