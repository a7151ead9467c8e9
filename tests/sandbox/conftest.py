"""Workers for the tests of this folder: of every backend, started ahead because importing torch takes a second."""

from __future__ import annotations

import ast
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
import torch
from exploit_contracts import CONTRACTS, EPOCHS, Tried, batch
from torch import Tensor

from mlsbench.sandbox.backend import Backend, Limits
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.choose import BACKENDS
from mlsbench.sandbox.engine import connect
from mlsbench.sandbox.session import WorkerSession, names_lazy_parts
from mlsbench.tasks import TaskFolder, get_task, list_tasks, read_submission

EXPLOITS = Path(__file__).parent.parent / "exploits"
OTHERS = [name for name, tried in CONTRACTS.items() if name != "defense" and tried.task in list_tasks()]
QUICK = (  # one file for each way of ending
    "allocate_at_once", "exit_at_epoch_3", "exit_on_import", "raise_at_epoch_3", "raise_escapes", "reply_early",
    "reply_garbage", "return_nan", "return_none", "sleep_at_epoch_3",
)  # fmt: skip
SPARE = 2  # workers that get ready while others are in use
LIMITS = Limits(call_seconds=1.5, start_seconds=1.5, job_seconds=20, memory_bytes=256 << 20, log_bytes=1 << 16)


@dataclass
class Ending:
    """How a candidate ended in a session: what was said, after which answers."""

    said: str = "answers"
    answers: list[tuple[float, Tensor]] = field(default_factory=list)
    log: str = ""

    def matches(self, expected: str) -> bool:
        """Whether `expected` begins what was said; `call:` stands for a call of any number."""
        return self.said.startswith(expected) or (
            expected.startswith("call:")
            and self.said.startswith("call")
            and self.said.partition(":")[2].startswith(expected[5:])
        )


class Workers:
    """Sessions of one backend with LIMITS, a few of them always getting ready."""

    def __init__(self, backend: Backend, tried: Tried, folder: Path) -> None:
        self.backend, self.tried, self.contract, self._folder = backend, tried, tried.contract, folder
        self._names = count()
        self._spare: list[tuple[WorkerSession, Path]] = []

    def start(self, limits: Limits = LIMITS, log: Path | None = None, lazy_parts: bool = False) -> WorkerSession:
        """A fresh session that is the caller's to close."""
        log = log or self._folder / f"{next(self._names)}.log"
        return WorkerSession(self.backend, self.contract, limits, log, lazy_parts)

    def take(self) -> tuple[WorkerSession, Path]:
        """A session with LIMITS that has been started before, and its log."""
        while len(self._spare) <= SPARE:
            log = self._folder / f"{next(self._names)}.log"
            self._spare.append((self.start(log=log), log))
        return self._spare.pop(0)

    def run(self, text: str) -> Ending:
        """Load `text` in the contract's form, make its calls, finish and close."""
        text = self.tried.text(text)
        if names_lazy_parts(text):
            log = self._folder / f"{next(self._names)}.log"
            session = self.start(log=log, lazy_parts=True)
        else:
            session, log = self.take()
        ending, stage = Ending(), "load"
        try:
            session.load(text)
            for name, call in self.tried.calls(session, self.contract):
                stage = name
                ending.answers.append(call())
            stage = "finish"
            session.finish()
        except CandidateError as error:
            ending.said = f"{stage}: {error}"
        finally:
            session.close()
        ending.log = log.read_text(errors="replace")
        return ending

    def close(self) -> None:
        """End the spare workers."""
        for session, _ in self._spare:
            session.close()


def cross_entropy(epoch: int) -> tuple[float, Tensor]:
    """Loss and gradient of plain cross-entropy on `batch(epoch)`."""
    logits, labels = batch(epoch)
    logits.requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.item(), gradient


def exploits() -> dict[str, str]:
    """Name and expected ending, the constant ENDS, of every file in tests/exploits."""
    found = {}
    for path in sorted(EXPLOITS.glob("*.py")):
        constants = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.Assign)]
        found[path.stem] = next(
            str(ast.literal_eval(c.value))
            for c in constants
            if isinstance(c.targets[0], ast.Name) and c.targets[0].id == "ENDS"
        )
    return found


def usable(name: str) -> Backend:
    """The backend `name`; skips if bubblewrap is not installed or has no namespaces here, fails if it should work.

    Docker should always work: its tests run only where somebody asks for them.
    """
    backend = next((b for b in BACKENDS if b.name == name), None)
    if backend is None:
        pytest.fail(f"there is no backend {name}")
    if name == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    reason = backend.unavailable()
    if reason is not None:
        if name == "bubblewrap" and subprocess.run(["unshare", "-Urn", "true"], capture_output=True).returncode != 0:
            pytest.skip(f"this system permits no namespaces: {reason}")
        pytest.fail(reason)
    return backend


@pytest.fixture(scope="session")
def task() -> TaskFolder:
    return get_task("security-membership-inference-defense")


@pytest.fixture(scope="session", params=["process", "bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
def workers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    pool = Workers(usable(request.param), CONTRACTS["defense"], tmp_path_factory.mktemp(request.param))
    yield pool
    pool.close()


@pytest.fixture(scope="session", params=OTHERS)
def other_workers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Workers for another task's contract; what surrounds them plays no part in that."""
    pool = Workers(usable("process"), CONTRACTS[request.param], tmp_path_factory.mktemp("contract"))
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder of the host with a file `canary`, both of which anybody could read and write were there no wall.

    Not one of pytest's own, which only their owner can enter.
    """
    with tempfile.TemporaryDirectory(prefix="mlsbench-host-") as name:
        folder = Path(name)
        (folder / "canary").write_text("a secret of the host")
        (folder / "canary").chmod(0o666)
        folder.chmod(0o777)
        yield folder


@pytest.fixture(scope="session")
def read_exploit(task: TaskFolder, open_folder: Path) -> Callable[[str], str]:
    """The text that a worker runs of an exploit, with a real file, folder, port and socket name put in."""
    places = {"@CANARY@": f"{open_folder}/canary", "@FOLDER@": str(open_folder), "@PORT@": "1", "@NAME@": "none"}

    def read(name: str, **other: str) -> str:
        text = read_submission(EXPLOITS / f"{name}.py", task).text
        for mark, value in (places | {f"@{k}@": v for k, v in other.items()}).items():
            text = text.replace(mark, value)
        return text

    return read


@pytest.fixture(scope="session")
def endings() -> dict[str, str]:
    return exploits()


@pytest.fixture(scope="session")
def reference() -> list[tuple[float, Tensor]]:
    """Loss and gradient of plain cross-entropy, epoch by epoch."""
    return [cross_entropy(epoch) for epoch in range(EPOCHS)]


@pytest.fixture(scope="session")
def limits() -> Limits:
    return LIMITS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives a test with an argument `probing`, `harmless` or `ending_exploit` one run for each file of that kind."""
    kinds = {"probing": ("found nothing",), "harmless": ("answers",), "ending_exploit": ("load", "call")}
    for argument, starts in kinds.items():
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, [name for name, ends in exploits().items() if ends.startswith(starts)])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of what must end badly QUICK is tried behind the lock alone; the rest, and all in namespaces, is slow."""
    for item in items:
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        tried, where = given.get("ending_exploit"), given.get("workers")
        if tried and where != "docker" and (where != "process" or tried not in QUICK):
            item.add_marker(pytest.mark.slow)


def descendants(process: int) -> list[int]:
    """`process` and everything that descends from it, oldest first, as the host's /proc shows it."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = [process] if process in parents else []
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def first_process(session: WorkerSession) -> int:
    """The process that the backend started for a session; for a container its first, which the engine knows."""
    if session.name != "docker":
        return int(session._tree._process.pid)  # type: ignore[attr-defined]
    folder = str(session._tree._meeting._folder)  # type: ignore[attr-defined]
    containers = [c.attrs for c in connect().containers.list()]
    (found,) = [c for c in containers if folder in [mount["Source"] for mount in c["Mounts"]]]
    return int(found["State"]["Pid"])


@pytest.fixture(scope="session")
def processes() -> Callable[[WorkerSession], list[int]]:
    """The processes of a session, the worker last."""
    return lambda session: descendants(first_process(session))
