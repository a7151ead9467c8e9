"""Who made a container or a folder, so that what a dead process left can be told from what a living one uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal


def identity() -> str:
    """This process's name among all processes of all boots: user, boot, PID namespace, PID and start time."""
    return ".".join((*_place(), str(os.getpid()), str(_started(os.getpid()))))


def user_prefix() -> str:
    """What the identities of all of this user's processes begin with."""
    return f"{os.getuid()}."


def state(owner: str) -> Literal["alive", "dead", "unknown"]:
    """Whether the process of that identity lives; "unknown" if it is another user's or not to be seen from here."""
    parts = owner.split(".")
    if len(parts) != 5 or parts[0] != str(os.getuid()) or not parts[3].isdigit():
        return "unknown"
    _, boot, namespace = _place()
    if parts[1] != boot:
        return "dead"
    if parts[2] != namespace:
        return "unknown"
    return "alive" if str(_started(int(parts[3]))) == parts[4] else "dead"


def _place() -> tuple[str, str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    return str(os.getuid()), boot, str(os.stat("/proc/self/ns/pid").st_ino)


def _started(process: int) -> int:
    """Ticks from boot to the start of `process`; 0 if there is no such process or it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])
