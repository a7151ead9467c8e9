"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class EngineName(StrEnum):
    """Where jobs run."""

    local = "local"
    ray = "ray"


Task = Annotated[str, typer.Argument(help="A task's id; `mlsbench list` shows them.")]
Submission = Annotated[
    Path, typer.Option(exists=True, help="The candidate: a file, or a folder that holds one of the template's name.")
]
Protocol = Annotated[str | None, typer.Option(help="The task's default if not given; `mlsbench show TASK` lists them.")]
Benchmarks = Annotated[list[str], typer.Option("--benchmark", help="Only this benchmark; repeatable.")]
Seeds = Annotated[list[int], typer.Option("--seed", help="Only this seed; repeatable.")]
Key = Annotated[
    str, typer.Option(help='The split key: "public" for reproduction, or a file of 32 random bytes, mode 0600.')
]
RecordsKey = Annotated[str, typer.Option(help="Only records of this split key; the key of most records if not given.")]
Sandbox = Annotated[
    str, typer.Option(help="auto, docker, bubblewrap, process, or inprocess (for debugging; never in a table).")
]
Runtime = Annotated[
    str | None, typer.Option(metavar="NAME", help="A container runtime that Docker knows, such as runsc.")
]
Device = Annotated[str, typer.Option(help="auto, cuda or cpu.")]
Deterministic = Annotated[bool, typer.Option("--deterministic", help="The same bits in every run on one GPU; slower.")]
Engine = Annotated[
    EngineName, typer.Option(help="Where jobs run: on this machine, or on the Ray cluster that RAY_ADDRESS names.")
]
Jobs = Annotated[
    int, typer.Option(min=0, help="Jobs at once; 0: on a GPU as many as it and the CPU hold, on a CPU one.")
]
Runs = Annotated[Path, typer.Option(help="Where records are kept.")]
Overrides = Annotated[
    list[str],
    typer.Option("--override", help="KEY=VALUE for epochs, batch, members, canaries or precision; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
