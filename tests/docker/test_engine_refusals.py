"""The engine's own refusals are recognised, in whichever words its version puts them."""

from __future__ import annotations

from typing import Any

import pytest
from docker import DockerClient
from docker.types import DeviceRequest

from mlsbench.sandbox.engine import EngineError, explained


def start(client: DockerClient, image: str, **options: Any) -> None:
    with explained():
        container = client.containers.create(image, ["true"], network_mode="none", **options)
        try:
            container.start()
        finally:
            container.remove(force=True)


def test_a_missing_image(client: DockerClient) -> None:
    with pytest.raises(EngineError, match=r"^Docker has no image mlsbench:none; run: mlsbench image build$"):
        start(client, "mlsbench:none")


def test_an_unknown_runtime(client: DockerClient, image: str) -> None:
    with pytest.raises(EngineError, match=r"^Docker has no runtime named nosuch: "):
        start(client, image, runtime="nosuch")


def test_no_driver_for_a_device(client: DockerClient, image: str) -> None:
    devices = [DeviceRequest(driver="nosuch", count=1, capabilities=[["gpu"]])]
    with pytest.raises(EngineError, match="install nvidia-container-toolkit"):
        start(client, image, device_requests=devices)


def test_what_nobody_foresaw(client: DockerClient, image: str) -> None:
    with pytest.raises(EngineError, match=r"^Docker refused: .*working directory"):
        start(client, image, working_dir="relative")
