"""Workers that somebody else starts and ends for us: the trainer's side when it runs in a container of its own."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from mlsbench.sandbox.backend import Tree, installed_torch
from mlsbench.sandbox.meeting import Meeting, MetTree

Wish = dict[str, Any]


class Delegate:
    """The backend `name` as seen from inside it: wishes go to somebody outside, by `tell` and, if answered, by `ask`.

    {"start": number, "setup": text} is for a worker that is to come to the folder of that number in `folder`;
    {"running": number} is answered by true or false; {"end": number, "patience": seconds} by how the worker ended.
    """

    namespaces = capped = holds_trainer = True

    def __init__(self, name: str, folder: Path, tell: Callable[[Wish], None], ask: Callable[[Wish], Any]) -> None:
        self.name, self._folder, self._tell, self._ask, self._numbers = name, folder, tell, ask, count()

    def unavailable(self) -> str | None:
        return None

    def torch(self) -> str:
        return installed_torch()

    def start(self, setup: str, log: io.FileIO) -> Tree:
        number = next(self._numbers)
        meeting = Meeting(self._folder / str(number))
        self._tell({"start": number, "setup": setup})
        return MetTree(
            meeting, log, lambda patience: str(self._ask({"end": number, "patience": patience})),
            lambda: bool(self._ask({"running": number})),
        )  # fmt: skip
