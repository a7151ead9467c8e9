"""The image holds this package and nothing that a candidate could use, and a change of code rebuilds it in seconds."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from docker import DockerClient
from docker.errors import ImageNotFound

from mlsbench import __version__
from mlsbench.sandbox.docker import Docker
from mlsbench.sandbox.image import (
    DOCKERFILE,
    BuildError,
    ImageError,
    build_from,
    check,
    context,
    image_name,
    inspect,
    package_files,
    source_digest,
)

COMMAND = Path(sys.executable).with_name("mlsbench")


@pytest.fixture
def name(client: DockerClient) -> Iterator[str]:
    """A name for another image, which is removed afterwards."""
    name = f"mlsbench-test:{uuid.uuid4().hex}"
    yield name
    try:
        client.images.remove(name)
    except ImageNotFound:
        return


def inside(client: DockerClient, image: str, *command: str, **options: Any) -> str:
    """What a command writes in a container of the image, without network or writable files."""
    options = {"network_mode": "none", "read_only": True, "remove": True} | options
    return client.containers.run(image, list(command), **options).decode().strip()


def layers(client: DockerClient, image: str) -> list[str]:
    return list(client.images.get(image).attrs["RootFS"]["Layers"])


def base(client: DockerClient, image: str) -> str:
    return str(client.images.get(image).labels["org.opencontainers.image.base.name"])


def dockerfile(text: str) -> bytes:
    return context({DOCKERFILE: text.encode()})


def test_a_container_holds_the_package_and_the_torch_of_this_machine(client: DockerClient) -> None:
    assert check(client).partition("+")[0] == torch.__version__.partition("+")[0]


def test_the_command_says_that_the_image_is_fine(image: str) -> None:
    done = subprocess.run([COMMAND, "image", "check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{image_name()}: fine, torch {torch.__version__.partition('+')[0]}")


def test_a_change_of_code_reuses_the_dependencies(client: DockerClient, image: str, name: str) -> None:
    files = package_files()
    files["__init__.py"] += b"# changed\n"
    for _ in build_from(client, context(files), name, {"BASE": base(client, image)}, network="none"):
        pass  # without network: nothing can have been downloaded
    dependencies = len(layers(client, base(client, image))) + 2  # the list of them, and what is installed from it
    assert layers(client, name)[:dependencies] == layers(client, image)[:dependencies]
    assert layers(client, name)[dependencies:] != layers(client, image)[dependencies:]


def test_a_build_replaces_an_image_of_other_code(client: DockerClient, image: str) -> None:
    """Nobody else's: the name holds the digest of the code."""
    list(build_from(client, dockerfile(f"FROM {image}\nLABEL mlsbench.source=other\n"), image_name(), {}))
    other = client.images.get(image_name()).id
    assert inspect(client).state == "of another version"
    command = [COMMAND, "image", "build", "--base", base(client, image), "--network", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{image_name()}: built\n")
    assert inspect(client).state == "fine"
    with pytest.raises(ImageNotFound):
        client.images.get(other)


def test_there_is_no_compiler(client: DockerClient, image: str) -> None:
    tools = "gcc cc g++ c++ clang tcc as ld make nvcc rustc go"
    assert inside(client, image, "sh", "-c", f"for tool in {tools}; do command -v $tool; done; true") == ""


def test_nothing_is_left_of_the_installation(client: DockerClient, image: str) -> None:
    search = "find / -xdev ( -path */.cache/* -o -path /tmp/* -o -name *.whl -not -path /usr/share/python-wheels/* )"
    assert inside(client, image, *search.split(), user="0") == ""


def test_compiled_files_are_in_the_image(client: DockerClient, image: str) -> None:
    code = """
import importlib.util, os, mlsbench.harness.trainer, sys
missing = [
    name for name, module in sys.modules.items()
    if (getattr(module, "__file__", None) or "").startswith("/opt/") and module.__file__.endswith(".py")
    and not os.path.exists(importlib.util.cache_from_source(module.__file__))
]
print(len(sys.modules) > 500, missing)
"""
    assert inside(client, image, "python", "-c", code) == "True []"


def test_containers_are_not_root_and_cannot_change_the_package(client: DockerClient, image: str) -> None:
    code = """
import os, mlsbench
print(os.getuid(), os.getgid(), [p for p, _, _ in os.walk(mlsbench.__path__[0]) if os.access(p, os.W_OK)])
"""
    assert inside(client, image, "python", "-c", code, read_only=False) == "1000 1000 []"


def test_the_package_lies_where_containers_expect_it(client: DockerClient, image: str) -> None:
    code = """
import mlsbench.baselines, os, sys
print(sys.prefix, mlsbench.__path__[0], os.path.islink(mlsbench.baselines.__path__[0]))
"""
    assert inside(client, image, "python", "-c", code) == "/opt/venv /opt/mlsbench/mlsbench False"


def test_labels_say_what_the_image_holds(client: DockerClient, image: str) -> None:
    labels = client.images.get(image).labels
    wanted = {
        "mlsbench.version": __version__,
        "mlsbench.source": source_digest(),
        "mlsbench.torch": torch.__version__.partition("+")[0],
        "org.opencontainers.image.title": "mlsbench",
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    assert {key: labels.get(key) for key in wanted} == wanted


def test_workers_are_offered_no_gpu_by_the_image(client: DockerClient, image: str) -> None:
    """Where NVIDIA's runtime is the default, this variable alone would give every container the GPUs."""
    variables = client.images.get(image).attrs["Config"]["Env"]
    assert not [v for v in variables if v.startswith("NVIDIA_VISIBLE_DEVICES=")]


@pytest.mark.parametrize(
    ("label", "built_from"),
    [("mlsbench.version=0.0.1", "version 0.0.1"), ("mlsbench.source=0", "other files of the package")],
)
def test_an_image_of_other_code_is_recognised(
    client: DockerClient, image: str, name: str, label: str, built_from: str
) -> None:
    list(build_from(client, dockerfile(f"FROM {image}\nLABEL {label}\n"), name, {}))
    state = inspect(client, name)
    assert state.state == "of another version"
    assert state.problem == f"the image {name} was built from {built_from}; run: mlsbench image build"


def test_who_has_no_image_of_this_code_is_told_how_the_last_one_was_built(
    client: DockerClient, image: str, name: str
) -> None:
    state = inspect(client, name)
    assert state.state == "of another version"
    assert state.problem.endswith(f"; run: mlsbench image build --base {base(client, image)}")


def test_a_job_is_not_run_with_another_torch_than_it_was_planned_for(image: str) -> None:
    with (
        pytest.raises(ImageError, match=r"has torch \S+ by now and no longer 0.1"),
        io.FileIO(os.memfd_create("log"), "r+") as log,
    ):
        Docker(torch="0.1").start('{"memory_bytes": 1}', log)


def test_labels_that_promise_too_much_are_found_out(client: DockerClient, image: str, name: str) -> None:
    text = f"FROM {image}\nUSER root\nRUN echo >> /opt/mlsbench/mlsbench/harness/trainer.py\nUSER mlsbench\n"
    list(build_from(client, dockerfile(text), name, {}))
    assert inspect(client, name).state == "fine"
    with pytest.raises(ImageError, match="does not hold what its labels say; run: mlsbench image build"):
        check(client, name)


def test_an_image_without_torch_is_found_out(client: DockerClient, image: str, name: str) -> None:
    text = f"FROM {image}\nUSER root\nRUN chmod 0 /opt/venv/lib/python3*/site-packages/torch\nUSER mlsbench\n"
    list(build_from(client, dockerfile(text), name, {}))
    with pytest.raises(ImageError, match=r"does not work: .*torch.*; run: mlsbench image build"):
        check(client, name)


def test_a_failed_build_says_why(client: DockerClient, image: str, name: str) -> None:
    text = f"FROM {base(client, image)}\nRUN echo the reason >&2; exit 7\n"
    with pytest.raises(
        BuildError, match=f"image {name} cannot be built: one of its steps ended with status 7"
    ) as error:
        list(build_from(client, dockerfile(text), name, {}, network="none"))
    assert "the reason" in error.value.output


def test_the_command_shows_the_end_of_a_failed_build(client: DockerClient, image: str) -> None:
    command = [COMMAND, "image", "build", "--base", image, "--network", "none"]  # its user may not write to /opt
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    client.images.prune({"dangling": True, "label": f"mlsbench.source={source_digest()}"})  # the steps before
    assert done.returncode == 4
    assert "Permission denied" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: the image {image_name()} cannot be built: one of its steps")


def test_checks_leave_no_container(client: DockerClient, image: str) -> None:
    check(client)
    assert not client.containers.list(all=True, filters={"label": "mlsbench.role=check"})
