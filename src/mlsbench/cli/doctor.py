"""The command that looks at this machine and says what would help."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import typer

from mlsbench.cli import options

ENOUGH_GB = 10


class Finding(NamedTuple):
    """One line: what was looked at, whether it is well, what was seen, and what mends it."""

    what: str
    well: bool
    seen: str
    remedy: str = ""


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(doctor)


def doctor(runs: options.Runs = Path("runs")) -> None:
    """Check Python, torch, the sandbox, disk and data; each line that is not well comes with its remedy.

    The exit code is 0 if a submission can be run here, though perhaps without a GPU or a dataset, and 1 otherwise.

    Example: mlsbench doctor
    """
    usable = {"python": False, "torch": False, "sandbox": False}
    for finding in _findings(runs):
        usable[finding.what.split()[0]] = usable.get(finding.what.split()[0], False) or finding.well
        typer.echo(f"{'ok  ' if finding.well else 'note'}  {finding.what}: {finding.seen}")
        if not finding.well and finding.remedy:
            typer.echo(f"      {finding.remedy}")
    raise typer.Exit(0 if usable["python"] and usable["torch"] and usable["sandbox"] else 1)


def _findings(runs: Path) -> Iterator[Finding]:
    from mlsbench.harness.data import data_folder

    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")
    yield from _torch()
    yield from _sandbox()
    for what, folder in (("runs", runs), ("data", data_folder())):
        existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        free = shutil.disk_usage(existing).free / 1e9
        yield Finding(f"disk for {what}", free > ENOUGH_GB, f"{free:.0f} GB free in {folder}", "free some space")
    yield from _data()


def _torch() -> Iterator[Finding]:
    try:
        import torch
        import torchvision
    except (ImportError, OSError) as error:
        yield Finding("torch", False, f"cannot be imported: {error}", "pip install torch torchvision")
        return
    yield Finding("torch", True, f"{torch.__version__}, torchvision {torchvision.__version__}")
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        yield Finding("cuda", True, f"{torch.cuda.device_count()} × {', '.join(sorted(names))}")
    else:
        yield Finding("cuda", False, "no device", "full protocols need a GPU and its driver; smoke runs without")


def _sandbox() -> Iterator[Finding]:
    from mlsbench.sandbox.choose import BACKENDS
    from mlsbench.sandbox.lock import landlock_version

    for backend in BACKENDS:
        reason = backend.unavailable()
        yield Finding(
            f"sandbox {backend.name}", reason is None, "works" if reason is None else "does not work", reason or ""
        )
    yield from _docker()
    landlock = landlock_version()
    remedy = "Linux 5.13 or newer, with landlock among its security modules, adds a second wall around files"
    yield Finding("landlock", landlock > 0, f"version {landlock}" if landlock else "not in this kernel", remedy)


def _docker() -> Iterator[Finding]:
    """What else matters about an engine that can be reached."""
    from mlsbench.harness.device import DRIVERS
    from mlsbench.sandbox.channel import SandboxError
    from mlsbench.sandbox.engine import connect, explain, explained

    try:
        with explained():
            info = connect().info()
    except SandboxError:
        return  # the line of the sandbox says it
    root = Path(info["DockerRootDir"])
    try:
        free = shutil.disk_usage(root).free / 1e9
    except OSError:
        pass  # not for this user to see
    else:
        yield Finding(
            "disk for docker", free > ENOUGH_GB, f"{free:.0f} GB free in {root}", explain("no space left on device")
        )
    if any(Path(driver).exists() for driver in DRIVERS):
        known = "nvidia" in (info.get("Runtimes") or {}) or bool(info.get("DiscoveredDevices"))
        remedy = explain("could not select device driver")
        yield Finding("docker gpu", known, "nvidia toolkit" if known else "no nvidia toolkit", remedy)


def _data() -> Iterator[Finding]:
    from mlsbench.harness.data import data_folder
    from mlsbench.harness.prepare import status
    from mlsbench.tasks import sound_tasks

    sound, problems = sound_tasks()
    for problem in problems:
        yield Finding("task", False, "it does not load", problem)
    datasets = {name: d for task in sound for name, d in task.spec.datasets.items()}
    for state in status(datasets, data_folder()):
        well = state.state in ("ready", "built in")
        yield Finding(f"data {state.name}", well, state.state, state.remedy)
