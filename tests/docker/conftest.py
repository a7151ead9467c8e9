"""Everything here needs a Docker engine and the image, and fails without: who asks for these tests wants them run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from mlsbench.sandbox.engine import connect
from mlsbench.sandbox.image import check, inspect

LAST = "test_nothing_left.py"  # it looks at what all others left


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("docker")
    items.sort(key=lambda item: item.path.name == LAST)


@pytest.fixture(scope="session")
def client() -> Iterator[DockerClient]:
    """The engine's client."""
    client = connect()
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(client: DockerClient) -> str:
    """The id of this package's image, which works."""
    check(client)
    return inspect(client).image
