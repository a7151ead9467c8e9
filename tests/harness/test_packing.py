"""As many jobs share a GPU as its memory and the machine's cores allow; a CPU has one; `--jobs` is obeyed."""

from __future__ import annotations

import pytest

from mlsbench.harness.packing import MOST, Packing, Room, pack

NEEDS = {"small": 2000, "large": 9000}


def test_a_cpu_runs_one_job_with_all_its_cores() -> None:
    assert pack([Room(8)], NEEDS) == Packing(1, 8, {})


def test_jobs_on_a_cpu_divide_its_cores_and_have_one_thread_at_least() -> None:
    assert pack([Room(8)], NEEDS, 3) == Packing(3, 2, {})
    assert pack([Room(2)], NEEDS, 5) == Packing(5, 1, {})


def test_each_cpu_of_a_cluster_runs_one_job_with_the_threads_that_the_smallest_has() -> None:
    assert pack([Room(8), Room(4)], NEEDS) == Packing(2, 4, {})


def test_a_gpu_takes_as_many_jobs_as_its_memory_holds() -> None:
    assert pack([Room(64, (20_000,))], NEEDS).shares == {"small": 1 / MOST, "large": 1 / 2}


def test_a_gpu_takes_one_job_though_its_memory_looks_too_small_or_is_unknown() -> None:
    for free in (500, None):
        assert pack([Room(64, (free,))], NEEDS).shares == {"small": 1, "large": 1}


def test_the_fullest_gpu_decides_because_a_share_means_the_same_on_all() -> None:
    assert pack([Room(64, (80_000, 5_000))], {"small": 2000}) == Packing(4, 16, {"small": 1 / 2})


@pytest.mark.parametrize(("cores", "each", "threads"), [(1, 1, 1), (2, 1, 1), (4, 2, 1), (6, 3, 1), (16, 4, 2)])
def test_jobs_on_gpus_have_a_core_each(cores: int, each: int, threads: int) -> None:
    assert pack([Room(cores, (80_000, 80_000))], {"small": 2000}) == Packing(2 * each, threads, {"small": 1 / each})


def test_the_benchmark_of_which_most_fit_decides_how_many_run_at_once() -> None:
    packing = pack([Room(64, (20_000, 20_000))], NEEDS)
    assert (packing.parallel, packing.threads) == (2 * MOST, 64 // (2 * MOST))


def test_jobs_that_are_asked_for_are_spread_over_the_gpus_whatever_they_need() -> None:
    assert pack([Room(12, (1_000, 1_000))], NEEDS, 3) == Packing(3, 3, {"small": 1 / 2, "large": 1 / 2})
    assert pack([Room(12, (1_000, 1_000))], NEEDS, 1) == Packing(1, 6, {"small": 1, "large": 1})
