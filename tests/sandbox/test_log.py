"""A worker's output is kept up to its limit, is only ever text, and tells no other worker anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    import pytest
    from conftest import Workers


def test_a_gigabyte_of_prints_leaves_a_log_of_the_limit(workers: Workers, read_exploit: Callable[..., str]) -> None:
    ending = workers.run(read_exploit("print_a_gigabyte"))
    assert ending.said == "answers"
    assert len(ending.log) == 1 << 16
    assert set(ending.log) == {"x", "y"}


def test_forged_results_stay_text_in_the_log(
    workers: Workers, read_exploit: Callable[..., str], reference: list[tuple[float, Tensor]]
) -> None:
    ending = workers.run(read_exploit("forge_results"))
    assert ending.log.count('"status": "scored"') == 4 * len(reference)


def test_workers_that_share_a_log_cannot_tell_how_full_it_is(
    workers: Workers, read_exploit: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    log: Path = tmp_path_factory.mktemp("shared") / "worker.log"
    for _ in range(2):
        session = workers.start(log=log)
        try:
            session.load(read_exploit("measure_the_log"))
            session.call(session.layout("compute_loss", {"batch": 8, "classes": 10}))
        finally:
            session.close()
    assert log.stat().st_size == 2 << 16


def test_strings_hash_the_same_in_every_worker(workers: Workers) -> None:
    text = "class MembershipDefense:\n  def compute_loss(self, z, *_):\n    print(hash('a'))\n    return z.sum()\n"
    assert workers.run(text).log == workers.run(text).log
