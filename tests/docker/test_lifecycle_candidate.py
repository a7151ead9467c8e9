"""However a candidate ends its worker, the job ends as the candidate's failure, at once and for good."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from container_jobs import PLAIN, Heard, containers, small_jobs
from docker import DockerClient
from docker.errors import APIError

from mlsbench.harness.engine import Event
from mlsbench.harness.local import LocalEngine
from mlsbench.scoring.record import Record

FROM_EPOCH_5 = "while epoch == 5:\n    {}\n" + PLAIN
FILL = FROM_EPOCH_5.format("epoch_5 = [torch.ones(1 << 22) for _ in range(64)]")  # of 16 MB each
SMALLER = 512 << 20  # in place of what keeps a worker's own limit below its container's


def run(folder: Path, body: str, react: Callable[[Event], None] = lambda event: None) -> tuple[Record, Heard]:
    heard = Heard(react)
    (stored,) = LocalEngine(["cpu"], 1).run(small_jobs(folder, body), heard)
    return stored.record, heard


@pytest.mark.parametrize(
    ("body", "ends"),
    [
        ("torch.os._exit(137)", "it was ended by signal 9"),
        ("torch.os._exit(143)", "it was ended by signal 15"),
        ("torch.os._exit(0)", "it exited with status 0"),
    ],
    ids=["like SIGKILL", "like SIGTERM", "as if well"],
)
def test_a_worker_that_ends_itself_is_not_tried_again(image: str, tmp_path: Path, body: str, ends: str) -> None:
    """Whichever status it chooses: not even one that an engine which shuts down would cause."""
    record, heard = run(tmp_path, FROM_EPOCH_5.format(body))
    assert (record.status, record.attempts) == ("failed", 1)
    assert record.reason == f"failed in epoch 5: the worker ended before it answered: {ends}"
    assert "retry" not in heard.kinds


def test_a_worker_that_the_kernel_ends_for_want_of_memory_is_told_so(
    client: DockerClient, image: str, tmp_path: Path
) -> None:
    """The container's limit is lowered below the worker's own, which otherwise comes first."""

    def lower(event: Event) -> None:
        if event.kind == "epoch" and event.data["epoch"] == 1:
            (worker,) = containers("worker")
            with contextlib.suppress(APIError):  # of an engine that cannot lower one without the other
                client.api.update_container(worker["Id"], mem_limit=SMALLER)
            client.api.update_container(worker["Id"], mem_limit=SMALLER, memswap_limit=SMALLER)

    record, heard = run(tmp_path, FILL, lower)
    assert (record.status, record.attempts) == ("failed", 1)
    assert record.reason == "failed in epoch 5: the worker ended before it answered: it ran out of memory"
    assert "retry" not in heard.kinds


def test_a_spinning_worker_is_ended_at_the_deadline(image: str, tmp_path: Path) -> None:
    record, heard = run(tmp_path, FROM_EPOCH_5.format("pass"))
    assert (record.status, record.attempts) == ("failed", 1)
    assert record.reason == "failed in epoch 5: too slow: no whole reply before the deadline"
    assert "retry" not in heard.kinds
    assert not containers()
