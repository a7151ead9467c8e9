"""What the tests of containers share: small jobs, commands that run them, and what an engine and /proc show of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from docker import DockerClient
from docker.errors import NotFound

from mlsbench.harness.engine import Event
from mlsbench.harness.plan import Job, Machine, plan
from mlsbench.harness.split import read_key
from mlsbench.harness.variant import variant
from mlsbench.sandbox.choose import backend
from mlsbench.sandbox.container import FOLDER_PREFIX, OWNER, ROLE
from mlsbench.sandbox.owner import identity
from mlsbench.scoring.record import Entry
from mlsbench.tasks import get_task, read_submission

COMMAND = str(Path(sys.executable).with_name("mlsbench"))
TASK = get_task("security-membership-inference-defense")
BENCHMARK = "resnet20-digits"
PLAIN = "return F.cross_entropy(logits, labels)"
DEADLINE = 120  # of whatever a test waits for, on a busy machine


def until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` gives once it is true."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE} s"
        time.sleep(0.02)
    return value


def submission(folder: Path, body: str = PLAIN) -> Path:
    """A submission in `folder` whose compute_loss has this body, of any number of lines."""
    indent = "        "
    plain, template = f"{indent}{PLAIN}\n", TASK.template()
    assert template.count(plain) == 1
    path = folder / "mine.py"
    path.write_text(template.replace(plain, "".join(f"{indent}{line}\n" for line in body.splitlines())))
    return path


def overrides(epochs: int) -> tuple[str, ...]:
    return (f"epochs={epochs}", "members=64", "batch=16")


def small_jobs(
    folder: Path, body: str = PLAIN, epochs: int = 12, seeds: Sequence[int] = (43,), sandbox: str = "docker"
) -> list[Job]:
    """Jobs of a few seconds, with records below `folder`."""
    candidate = read_submission(submission(folder, body), TASK)
    entry = Entry(name="mine", type="vanilla", submission=candidate.sha256)
    torch = backend(sandbox).torch()
    machine = Machine(sandbox=sandbox, device_kind="cpu", precision="fp32", threads=1, torch=torch)
    chosen, key = variant(TASK.spec, "smoke", overrides(epochs)), read_key("public")
    return plan(TASK, candidate, entry, chosen, machine, key, folder / "runs", [BENCHMARK], seeds)


class Heard:
    """A listener that keeps what it hears and reacts to it."""

    def __init__(self, react: Callable[[Event], None] = lambda event: None) -> None:
        self.events: list[Event] = []
        self._react = react

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._react(event)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def reasons(self) -> list[str]:
        """Why attempts failed for reasons of ours."""
        return [e.data["reason"] for e in self.events if e.kind in ("retry", "gave up")]


class Command:
    """A running `mlsbench run` of small jobs; what it writes goes to files in `folder`."""

    def __init__(self, folder: Path, body: str = PLAIN, epochs: int = 12, seeds: Sequence[int] = (43,)) -> None:
        self.folder, self._log = folder, folder / "errors"
        self.arguments = [
            COMMAND, "run", TASK.spec.id, "--submission", str(submission(folder, body)), "--protocol", "smoke",
            "--benchmark", BENCHMARK, *(f"--seed={seed}" for seed in seeds), "--sandbox", "docker", "--device", "cpu",
            *(f"--override={override}" for override in overrides(epochs)), "--runs", str(folder / "runs"),
        ]  # fmt: skip
        with self._log.open("wb") as errors:
            self.process = subprocess.Popen(
                self.arguments, stdout=subprocess.DEVNULL, stderr=errors, process_group=0, preexec_fn=heed_interrupts
            )

    @property
    def errors(self) -> str:
        return self._log.read_text()

    def reach(self, line: str) -> None:
        """Return when `line` was written to standard error."""
        until(lambda: line in self.errors or self.process.poll() is not None, line)
        assert line in self.errors

    def processes(self) -> list[int]:
        """Its processes on this machine, without itself, and those in its containers."""
        ours = descendants([self.process.pid])
        inside = [c["State"]["Pid"] for c in containers() if int(c["Config"]["Labels"][OWNER].split(".")[-2]) in ours]
        return [*ours[1:], *descendants([pid for pid in inside if pid])]

    def again(self, *more: str) -> subprocess.CompletedProcess[str]:
        """The same command, from start to end."""
        return subprocess.run([*self.arguments, *more], capture_output=True, text=True, check=False, timeout=DEADLINE)

    def records(self) -> list[Path]:
        return sorted(self.folder.rglob("record.json"))


def heed_interrupts() -> None:
    """What a shell does for a command in the foreground; the tests themselves may run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def descendants(roots: Sequence[int]) -> list[int]:
    """Processes `roots` and all that descend from them, as this machine's /proc shows them; parents come first."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # gone
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = list(roots)
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def containers(role: str | None = None, own: bool = False) -> list[dict[str, Any]]:
    """What the engine knows of each container of a command, or of those of one role.

    Those that this process made, in which other tests' workers wait, are left out, or with `own` are the only ones.
    """
    wanted = OWNER if role is None else f"{ROLE}={role}"
    with contextlib.closing(DockerClient.from_env()) as client:
        found = []
        for one in client.api.containers(all=True, filters={"label": wanted}):
            if (one["Labels"][OWNER] == identity()) == own:
                with contextlib.suppress(NotFound):  # removed meanwhile
                    found.append(client.api.inspect_container(one["Id"]))
        return found


def folders() -> list[Path]:
    """The folders of channels on this machine, without those that this process made."""
    found = sorted(Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}{os.getuid()}.*"))
    return [path for path in found if not path.name.startswith(f"{FOLDER_PREFIX}{identity()}-")]


def files_of(record: Path) -> dict[str, bytes]:
    """What stands beside a record and decides a table: weights and scores, the latter without their archive's frame,
    which depends on the version of Python."""
    with np.load(record.parent / "scores.npz") as scores:
        arrays = {name: scores[name].tobytes() for name in scores.files}
    return {"weights": (record.parent / "weights.safetensors").read_bytes(), **arrays}
