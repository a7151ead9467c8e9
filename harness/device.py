"""Which devices there are and how much room, found out without importing torch here."""

from __future__ import annotations

import os
import subprocess
import sys

from mlsbench import UserError
from mlsbench.harness.packing import Room

CHOICES = ("auto", "cuda", "cpu")
# Without one of these device files there is no CUDA or ROCm device, and no need to wait for torch.
DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
# A GPU that lets nobody in at the moment does not say how much is free.
FREE = """
import torch
for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
    try:
        print(torch.cuda.mem_get_info(number)[0] >> 20)
    except RuntimeError:
        print("unknown")
"""


def devices(choice: str) -> list[str]:
    """The devices that `--device` names: ["cpu"], or all CUDA devices as "cuda:0" and so on.

    "auto" means CUDA if there is any. Raises UserError if "cuda" is asked for and there is none, or for another word.
    """
    return named(choice, room(choice))


def named(choice: str, found: Room) -> list[str]:
    """`devices` of a machine whose room is known."""
    if choice not in CHOICES:
        raise UserError(f"--device {choice}: choose auto, cuda or cpu")
    if choice == "cuda" and not found.gpus:
        raise UserError("torch sees no CUDA device: `mlsbench doctor` tells more; --device cpu runs without one")
    return [f"cuda:{i}" for i in range(len(found.gpus))] or ["cpu"]


def room(choice: str) -> Room:
    """What this machine has: the cores that this process may use, and all CUDA devices unless `choice` is "cpu"."""
    return Room(len(os.sched_getaffinity(0)), () if choice == "cpu" else _cuda_devices())


def _cuda_devices() -> tuple[int | None, ...]:
    """The MiB that are free on each."""
    if not any(os.path.exists(driver) for driver in DRIVERS):
        return ()
    done = subprocess.run([sys.executable, "-P", "-c", FREE], capture_output=True, text=True, check=False)
    lines = done.stdout.split() if done.returncode == 0 else []
    return tuple(int(line) if line.isdigit() else None for line in lines)
