"""The Ray cluster that jobs run on: the one that RAY_ADDRESS names, or one of this machine's own.

Ray is imported when it is used: it is an extra, and reads some of its settings from the environment as it is imported.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import io
import logging
import os
import secrets
import shutil
import signal
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from mlsbench import MachineError, UserError
from mlsbench.harness.device import room
from mlsbench.harness.packing import Room

ADDRESS = "RAY_ADDRESS"
# For a cluster of our own: no report to anybody; sockets on the loopback device alone, whatever that one is called; no
# other user of this machine may hand it work; jobs have the priority that they have without Ray.
OWN = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token",
    "RAY_worker_niceness": "0",
}  # fmt: skip
FOLDER_PREFIX = "mlsbench-ray-"
RAYS = "r"  # within it: Ray opens its own to everybody
SHORT = 19  # characters: a socket's path has 107, of which Ray and the folder's own name take the others
KNOCK_SECONDS = 10
SURVEY_SECONDS = 60  # for a GPU's free memory: jobs of others may hold all of it


_connection = contextlib.ExitStack()
_TOKEN = secrets.token_hex(32)  # one for all clusters of this process: Ray reads it once


def connect() -> None:
    """Connect this process to the cluster until `close` or its own end; nothing happens if it is connected.

    A cluster of our own ends with the connection, or with this process, however that ends. Raises UserError if Ray is
    missing, or MachineError if the cluster does not answer.
    """
    address = os.environ.get(ADDRESS)
    if not address:
        os.environ.update(OWN | {"RAY_AUTH_TOKEN": _TOKEN})
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError("--engine ray needs Ray: pip install 'mlsbench[ray]'") from None
    if ray.is_initialized():
        return
    if address and address.startswith("ray://"):
        raise UserError(f"{ADDRESS}={address}: give a node's own address, HOST:6379, from a machine of the cluster")
    if address:
        _knock(address)
    atexit.register(close)
    # What Ray has to say of nodes that die it prints, whatever a command's standard output is for.
    _connection.enter_context(contextlib.redirect_stdout(io.StringIO()))
    ours = signal.getsignal(signal.SIGTERM)
    try:
        # Ray's workers import from the current folder first, and an agent may have written to this one.
        with contextlib.chdir("/"):
            options = {"address": address} if address else _own()
            _connection.callback(ray.shutdown)
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        close()
        where = f"the Ray cluster at {address}" if address else "a Ray cluster on this machine"
        raise MachineError(f"{where} does not answer: {str(error).strip().splitlines()[0]}") from error
    finally:
        signal.signal(signal.SIGTERM, ours)  # Ray's own would end the process without ending its jobs


def _knock(address: str) -> None:
    """Raises MachineError if nothing listens there: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return  # "auto", or what Ray will complain of itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except OSError as error:
        raise MachineError(f"the Ray cluster at {address} does not answer: {error.strerror or error}") from error


def close() -> None:
    """Disconnect, and end a cluster of our own; nothing happens without a connection."""
    _connection.close()


def _own() -> dict[str, Any]:
    sweep()
    folder = _make_folder()
    _connection.callback(_remove, folder)
    return {
        "address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1",
        "_temp_dir": str(folder / RAYS), "num_cpus": len(os.sched_getaffinity(0)),
    }  # fmt: skip


def _make_folder() -> Path:
    """A folder with a lock that is held as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=_base()))
    descriptor = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return folder


def _base() -> str:
    """Where folders of clusters are made: the usual place, or one with a path that is short enough."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= SHORT else "/tmp"


def sweep() -> int:
    """Remove what clusters of our own left whose command was killed; their number."""
    removed = 0
    for folder in Path(_base()).glob(f"{FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):  # gone, or a living command's
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue
            descriptor = os.open(folder / ".lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                removed += _remove(folder)
            finally:
                os.close(descriptor)
    return removed


def _remove(folder: Path) -> bool:
    """Remove a folder whose cluster has ended; False if one of Ray's processes still writes there."""
    shutil.rmtree(folder / RAYS, ignore_errors=True)
    if not (folder / RAYS).exists():
        shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def nodes() -> list[dict[str, Any]]:
    """What Ray says of each living node."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def rooms(choice: str) -> list[Room]:
    """What the nodes have that jobs on the device `choice` can use: those with GPUs, or if there are none (or `choice`
    is "cpu") all of them as CPUs. Raises UserError."""
    connect()
    found = [(node["NodeID"], node["Resources"]) for node in nodes() if node["Resources"].get("CPU", 0) >= 1]
    if not found:
        raise MachineError("the Ray cluster has no node with a CPU: `ray status` tells more")
    with_gpu = [(name, has) for name, has in found if has.get("GPU", 0) >= 1]
    if choice == "cpu" or not with_gpu:
        return [Room(int(has["CPU"])) for _, has in found]
    return [Room(int(has["CPU"]), (_free_mib(name),) * int(has["GPU"])) for name, has in with_gpu]


def _free_mib(node: str) -> int | None:
    """What is free on one GPU of `node`; None if that cannot be told."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node, soft=False)
    survey = ray.remote(num_cpus=0, num_gpus=0.01, max_retries=0, scheduling_strategy=there)(_gpus_here)
    try:
        free = ray.get(survey.remote(), timeout=SURVEY_SECONDS)
    except ray.exceptions.RayError:
        return None
    return free[0] if free else None


def _gpus_here() -> list[int | None]:
    return list(room("auto").gpus)
