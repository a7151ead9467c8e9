"""The image of the Docker backend: what it is built from, how it is built, and whether it is that of this package."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mlsbench import __version__
from mlsbench.sandbox.backend import package_root
from mlsbench.sandbox.channel import SandboxError
from mlsbench.sandbox.container import Container
from mlsbench.sandbox.engine import explain, explained

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

DOCKERFILE = "Dockerfile.gpu"
BUILD = "mlsbench image build"
LINKED = ("tasks", "scoring", "sandbox", "baselines", "harness", "agents")  # at the top of a checkout, beside src
TASK_DATA = (".toml", ".md", ".py", ".csv")
DATA = ("agents/*.md", "scoring/report/*.css", "scoring/report/*.html", "scoring/report/*.js")
LAST_LINES = 20
COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # of what a step writes to standard error
CHECK_SECONDS = 120  # torch is several GB and may come from a cold disk
PROBE = (
    "import json, torch; from mlsbench.sandbox.image import source_digest;"
    "print(json.dumps([source_digest(), torch.__version__]))"
)


class ImageError(SandboxError):
    """The image is missing, is not that of this package, or cannot be built; the message says what mends it."""


class BuildError(ImageError):
    """The build failed; `output` holds its last lines."""

    def __init__(self, message: str, output: list[str]) -> None:
        super().__init__(message)
        self.output = output


class State(NamedTuple):
    """What the engine has under the image's name."""

    state: Literal["fine", "missing", "of another version"]
    problem: str = ""  # what is wrong and what mends it
    image: str = ""  # the id, which names the same image even after another build
    torch: str = ""  # the public version of torch in it, without a suffix such as +cu130


def image_name() -> str:
    """The image of exactly these files of the package: people with other files share an engine without a quarrel."""
    return f"mlsbench:{__version__}-{source_digest()[:12]}"


def package_files(package: Path | None = None) -> dict[str, bytes]:
    """Names, relative to the package's folder, and contents of the files that an installation holds, sorted by name.

    These are the modules, the data of tasks, agents and reports, the type marker and the Dockerfile, whether the
    package lies in a checkout, in site-packages or in the image; nothing that Python or an editor leaves between them.
    """
    root = package or package_root() / "mlsbench"
    found = {*_modules(root), root / "py.typed", root / DOCKERFILE}
    found.update(path for pattern in DATA for path in root.glob(pattern))
    tasks = [path for pattern in ("*.toml", "*/*", "new-task/**/*") for path in (root / "tasks").glob(pattern)]
    found.update(path for path in tasks if path.suffix in TASK_DATA and path.is_file())
    return {name: path.read_bytes() for name, path in sorted((p.relative_to(root).as_posix(), p) for p in found)}


def _modules(folder: Path) -> Iterator[Path]:
    if (folder / "__init__.py").is_file():  # without one setuptools would not install the folder
        for path in folder.iterdir():
            if path.is_dir():
                yield from _modules(path)
            elif path.suffix == ".py":
                yield path


def source_digest(files: dict[str, bytes] | None = None) -> str:
    """The SHA-256 of the package's files, or of those given: the same on a host and in the image built there."""
    digest = hashlib.sha256()
    for name, data in (package_files() if files is None else files).items():
        digest.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return digest.hexdigest()


def pins() -> list[str]:
    """The package's dependencies, each at the version installed here, without a suffix such as +cpu.

    The image gets PyPI's build of the host's version of torch, which holds CUDA.
    """
    found = []
    for requirement in metadata.requires("mlsbench") or ():
        name, _, marker = requirement.partition(";")
        if "extra" not in marker:
            project = re.split(r"[^\w.-]", name.strip(), maxsplit=1)[0]
            pin = f"{project}=={_public(metadata.version(project))}"
            found.append(f"{pin}; {marker.strip()}" if marker else pin)
    return found


def _public(version: str) -> str:
    return version.partition("+")[0]


def context(files: dict[str, bytes] | None = None) -> bytes:
    """A tar archive that the engine builds from: the installed package, or `files` of one, laid out like a checkout."""
    placed = {"pyproject.toml": f"[project]\ndependencies = {json.dumps(pins(), indent=4)}\n".encode()}
    for name, data in (package_files() if files is None else files).items():
        top = name == DOCKERFILE or name.split("/")[0] in LINKED
        placed[name if top else f"src/mlsbench/{name}"] = data
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in placed.items():
            info = tarfile.TarInfo(name)  # root's, mode 0644, no time: the same code gives the same layers
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()


def build(client: DockerClient, base: str | None = None, network: str | None = None) -> Iterator[str]:
    """Build the image, on `base` instead of the Dockerfile's; its steps have `network`. Yields lines of output.

    Raises BuildError if a step fails, EngineError if the engine does.
    """
    files = package_files()
    arguments = {"VERSION": __version__, "SOURCE": source_digest(files), "TORCH": _public(metadata.version("torch"))}
    if base:
        arguments["BASE"] = base
    before = _find(client, image_name())
    try:
        yield from build_from(client, context(files), image_name(), arguments, network)
    except BuildError as error:
        raise BuildError(_hinted(client, error, base), error.output) from None
    if before is not None:
        _remove_unused(client, before)


def _hinted(client: DockerClient, error: BuildError, base: str | None) -> str:
    """The message of a failed build, with what its output tells of the cause."""
    output, message = "\n".join(error.output), str(error)
    if re.search(r"name resolution|Network is unreachable|getaddrinfo", output):
        return f"{message}: it could not reach the network; --network host gives it that of this machine"
    if "ensurepip is not available" in output:
        return f"{message}: the base {base} has no python3-venv"
    if "status 127" in message:
        return f"{message}: the base {base} has no python3, or it is not on its PATH"
    if base and _find(client, base) is None:
        return f"this machine has no image {base}: {message}"
    return message


def build_from(
    client: DockerClient, archive: bytes, name: str, arguments: dict[str, str], network: str | None = None
) -> Iterator[str]:
    """Build the image `name` from an archive such as `context` returns. Yields and raises as `build` does."""
    output: deque[str] = deque(maxlen=LAST_LINES)
    with explained():
        events = client.api.build(
            fileobj=io.BytesIO(archive), custom_context=True, dockerfile=DOCKERFILE, tag=name, buildargs=arguments,
            network_mode=network, rm=True, forcerm=True, decode=True,
        )  # fmt: skip
        for event in events:
            if "error" in event:
                raise BuildError(f"the image {name} cannot be built: {explain(event['error'])}", list(output))
            for line in _lines(event):
                if "status" in event and line in output:
                    continue  # the engine repeats a download's state many times a second
                output.append(line)
                yield line


def _lines(event: dict[str, Any]) -> list[str]:
    if "status" in event:
        return [": ".join(filter(None, (event.get("id"), event["status"])))]
    text = COLOUR.sub("", event.get("stream", ""))
    return [line for line in map(str.rstrip, text.splitlines()) if line]


def inspect(client: DockerClient, name: str | None = None) -> State:
    """Whether what has the image's name, or `name`, is this package's image by its labels. Raises EngineError."""
    name = name or image_name()
    image = _find(client, name)
    if image is None:
        return _without(client, name)
    labels = image.labels
    if labels.get("mlsbench.version") != __version__ or labels.get("mlsbench.source") != source_digest():
        version = labels.get("mlsbench.version") or "unknown"
        what = "other files of the package" if version == __version__ else f"version {version}"
        return State("of another version", f"the image {name} was built from {what}; run: {BUILD}", image.id)
    return State("fine", "", image.id, labels.get("mlsbench.torch", ""))


def _without(client: DockerClient, name: str) -> State:
    """What to say when there is no image of that name, but perhaps others of the package."""
    with explained():
        others = client.images.list(filters={"label": "mlsbench.source"})
    if not others:
        return State("missing", f"Docker has no image {name}; run: {BUILD}")
    base = others[0].labels.get("org.opencontainers.image.base.name", "")
    option = "" if base in ("", _default_base()) else f" --base {base}"
    problem = "Docker's images of mlsbench were built from other files of the package, as before a change of the code"
    return State("of another version", f"{problem}; run: {BUILD}{option}")


def _default_base() -> str:
    """The base that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)", package_files()[DOCKERFILE].decode(), re.MULTILINE)
    return found[1] if found else ""


def check(client: DockerClient, name: str | None = None) -> str:
    """The version of torch that a container of the image imports, after comparing its files with the package's.

    Raises ImageError if the image is not this package's or does not work, EngineError if no container can run.
    """
    name = name or image_name()
    state = inspect(client, name)
    if state.state != "fine":
        raise ImageError(state.problem)
    status, output = _run(client, state.image, ["python", "-c", PROBE])
    if status != 0:
        last = output.strip().splitlines()[-1:] or [f"exit status {status}"]
        raise ImageError(f"the image {name} does not work: {last[0]}; run: {BUILD}")
    digest, torch = json.loads(output.splitlines()[-1])
    if digest != source_digest() or _public(torch) != state.torch:
        raise ImageError(f"the image {name} does not hold what its labels say; run: {BUILD}")
    return str(torch)


def _run(client: DockerClient, image: str, command: list[str]) -> tuple[int, str]:
    """Exit status and output of `command` in a container without network, rights or a writable file."""
    host = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
    container = Container(client.api, "check", image, {"command": command}, host)
    try:
        container.start()
        state = container.wait(CHECK_SECONDS)
        if state.running:
            raise ImageError(f"a container of the image {image_name()} did not end within {CHECK_SECONDS} s")
        return state.status, container.output()
    finally:
        container.remove()


def _find(client: DockerClient, name: str) -> Image | None:
    from docker.errors import ImageNotFound

    with explained():
        try:
            return client.images.get(name)
        except ImageNotFound:
            return None


def _remove_unused(client: DockerClient, image: Image) -> None:
    """Remove what the image was before, unless it still has a name or a container."""
    from docker.errors import APIError, ImageNotFound

    with explained(), suppress(ImageNotFound):
        if not client.images.get(image.id).tags:
            with suppress(APIError):
                client.images.remove(image.id)
