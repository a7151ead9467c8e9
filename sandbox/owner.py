"""Who made a container or a folder, so that what a dead process left can be told from what a living one uses."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

# Strictly: names of folders and labels of containers are anybody's to make.
IDENTITY = re.compile(r"([0-9]{1,10})\.([0-9a-f]{32})\.([0-9]{1,20})\.([0-9]{1,20})\.([0-9]{1,10})\.([0-9]{1,20})")


def identity() -> str:
    """This process's name among all processes of all boots: user, boot, PID and time namespaces, PID, start time."""
    return ".".join((*_place(), str(os.getpid()), str(_started(os.getpid()))))


def user_prefix() -> str:
    """What the identities of all of this user's processes begin with."""
    return f"{os.getuid()}."


def state(owner: str) -> Literal["alive", "dead", "unknown"]:
    """Whether the process of that identity lives; "unknown" if it is another user's or not to be seen from here."""
    found = IDENTITY.fullmatch(owner)
    if not found:
        return "unknown"
    user, boot, *namespaces, process, started = found.groups()
    own_user, own_boot, *own_namespaces = _place()
    if user != own_user:
        return "unknown"
    if boot != own_boot:
        return "dead"
    if namespaces != own_namespaces:
        return "unknown"
    return "alive" if str(_started(int(process))) == started else "dead"


def of_another_boot(owner: str) -> bool:
    """Whether `owner` is an identity of before or after the boot that this process sees."""
    found = IDENTITY.fullmatch(owner)
    return found is not None and found[2] != _place()[1]


def _place() -> tuple[str, str, str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    return str(os.getuid()), boot, _namespace("pid"), _namespace("time")


def _namespace(kind: str) -> str:
    try:
        return str(os.stat(f"/proc/self/ns/{kind}").st_ino)
    except FileNotFoundError:  # a kernel before 5.6 has no namespaces of time
        return "0"


def _started(process: int) -> int:
    """Ticks from boot to the start of `process`; 0 if there is no such process or it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])
