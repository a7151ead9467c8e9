"""One container of ours, from its creation to its removal, and the removal of what dead processes left."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlsbench.sandbox import owner
from mlsbench.sandbox.engine import EngineError, explained

if TYPE_CHECKING:
    from docker import APIClient

OWNER, ROLE = "mlsbench.owner", "mlsbench.role"
FOLDER_PREFIX = "mlsbench-"
END_SECONDS = 60  # for the engine to end a container that it was told to kill
POLL_SECONDS = 0.02
NO_CONTAINER, CONFLICT = 404, 409


class State(NamedTuple):
    """Whether a container runs, and how it ended if it does not: `out_of_memory` if the kernel killed it for that."""

    running: bool
    status: int
    out_of_memory: bool

    def ending(self) -> str:
        """How it ended, in the words that all backends use."""
        if self.out_of_memory:
            return "ran out of memory"
        if self.status > 128:
            return f"was ended by signal {self.status - 128}"
        return f"exited with status {self.status}"


class Container:
    """A container that is labelled as this process's and lives until `remove`. All methods raise EngineError."""

    def __init__(self, api: APIClient, role: str, image: str, options: dict[str, Any], host: dict[str, Any]) -> None:
        self._api = api
        with explained():
            created = api.create_container(
                image, use_config_proxy=False, labels={OWNER: owner.identity(), ROLE: role}, **options,
                host_config=api.create_host_config(network_mode="none", init=True, **host),
            )  # fmt: skip
        self.id: str = created["Id"]

    def start(self) -> None:
        """Start it; one that cannot be started is removed."""
        try:
            with explained():
                self._api.start(self.id)
        except EngineError:
            with contextlib.suppress(EngineError):
                self.remove()
            raise

    def state(self) -> State:
        """How it stands."""
        with explained():
            found = self._api.inspect_container(self.id)["State"]
        status = int(found["ExitCode"])
        # The engine also sets its mark when the kernel killed something else in the container.
        return State(bool(found["Running"]), status, bool(found["OOMKilled"]) and status == 137)

    def wait(self, seconds: float) -> State:
        """Its state when it has ended, or after `seconds`.

        By asking again and again: the engine's own way to wait breaks off when the connection's time is up, and that
        looks like the end of the engine.
        """
        deadline = time.monotonic() + seconds
        while (state := self.state()).running and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return state

    def kill(self) -> State:
        """End all its processes; its state when they are gone."""
        with _passed_over(NO_CONTAINER, CONFLICT), explained():  # CONFLICT: it does not run
            self._api.kill(self.id)
        state = self.wait(END_SECONDS)
        if state.running:
            raise EngineError(f"the Docker engine could not end a container within {END_SECONDS} s: restart it")
        return state

    def output(self) -> str:
        """The last of what it wrote; only for a container that has ended, because a log that grows may never end."""
        with explained():
            return bytes(self._api.logs(self.id, tail=100)).decode("utf-8", "replace")

    def remove(self) -> None:
        """End it and remove it and its volumes; nothing happens if it is gone."""
        with explained():
            remove(self._api, self.id)


def remove(api: APIClient, container: str) -> None:
    """Remove a container whatever it does; nothing happens if it is gone or somebody else is removing it."""
    with _passed_over(NO_CONTAINER, CONFLICT):
        api.remove_container(container, force=True, v=True)


class Left(NamedTuple):
    """What was found of other processes: removed, in use by the living, of nobody who can be seen from here, and what
    the engine could not remove."""

    removed: int
    used: int
    unknown: int
    stuck: int


def sweep(api: APIClient) -> Left:
    """Remove the containers and channel folders whose makers, processes of this user, are dead. Raises EngineError."""
    counts = {"dead": 0, "alive": 0, "unknown": 0, "stuck": 0}
    with explained():
        # The plain list: the SDK's other one asks after each container and fails when one vanishes meanwhile.
        found = api.containers(all=True, filters={"label": OWNER})
    for container in found:
        name: str = container["Labels"][OWNER]
        state: str = owner.state(name)
        if state == "dead":
            if owner.of_another_boot(name) and container["State"] == "running":
                state = "unknown"  # none of ours survives a boot: another machine uses this engine
            else:
                state = _removed(api, container["Id"])
        counts[state] += 1
    return Left(counts["dead"] + sweep_folders(), counts["alive"], counts["unknown"], counts["stuck"])


def _removed(api: APIClient, container: str) -> str:
    """What has become of a dead process's container: it is gone with its maker, or the engine cannot remove it."""
    try:
        with explained():
            remove(api, container)
    except EngineError:
        return "stuck"
    return "dead"


def make_folder() -> Path:
    """A fresh folder for channels that only this user can enter."""
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{owner.identity()}-"))


def sweep_folders() -> int:
    """Remove the channel folders that dead processes of this user left; their number."""
    removed = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}{owner.user_prefix()}*"):
        if owner.state(folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]) == "dead" and _ours(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed += not folder.exists()
    return removed


def _ours(folder: Path) -> bool:
    """Whether this really is a folder of this user's: anybody can make something of that name."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


@contextlib.contextmanager
def _passed_over(*statuses: int) -> Iterator[None]:
    """Ignores answers of the engine with these statuses."""
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        if error.status_code not in statuses:
            raise
    except EngineError as error:
        if not isinstance(error.__cause__, APIError) or error.__cause__.status_code not in statuses:
            raise
