"""How many jobs run at once, with how many threads and which share of a GPU, from what the machines have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST = 4  # jobs a GPU; not measured yet, benchmarks/packing.py will tell


@dataclass(frozen=True)
class Room:
    """What one machine has: CPU cores, and for each GPU the MiB that are free (None: unknown). Without GPUs jobs run on
    the cores."""

    cores: int
    gpus: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Packing:
    """How many jobs at once at most, threads of each, and the share of a GPU that one of a benchmark takes."""

    parallel: int
    threads: int
    shares: Mapping[str, float]


def pack(rooms: Sequence[Room], needs: Mapping[str, int], jobs: int = 0) -> Packing:
    """The packing of benchmarks that need `needs` MiB of a GPU onto machines, all with GPUs or all without.

    `jobs` at once, or if that is 0: on CPUs one a machine; on GPUs as many a GPU as its memory holds and the machine
    has cores, `MOST` at most, and one where the memory is unknown.
    """
    free = [mib for room in rooms for mib in room.gpus]
    if not free:
        parallel = jobs or len(rooms)
        threads = min(sum(room.cores for room in rooms) // parallel, *(room.cores for room in rooms))
        return Packing(parallel, max(threads, 1), {})
    if jobs:
        each = dict.fromkeys(needs, math.ceil(jobs / len(free)))
    else:
        cores = min(room.cores // len(room.gpus) for room in rooms)
        each = {name: _held(free, need, cores) for name, need in needs.items()}
    most = max(each.values())
    threads = min(room.cores // (len(room.gpus) * most) for room in rooms)
    return Packing(jobs or most * len(free), max(threads, 1), {name: 1 / count for name, count in each.items()})


def _held(free: Sequence[int | None], need: int, cores: int) -> int:
    """How many jobs that need so much every one of the GPUs holds."""
    return max(1, min(MOST, cores, *((mib or 0) // need for mib in free)))
