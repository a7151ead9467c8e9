"""What is left of a plan is told from measured speed, by benchmark, however many jobs run at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mlsbench.cli.forecast import START_MS, Forecast
from mlsbench.harness.plan import Job, Machine, duration, plan
from mlsbench.harness.split import read_key
from mlsbench.harness.variant import variant
from mlsbench.scoring import Entry
from mlsbench.tasks import get_task, read_submission

TASK = get_task("security-membership-inference-defense")
RESNET, VGG = "resnet20-digits", "vgg16bn-digits"
TINY = ("epochs=1", "members=32")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def jobs(runs: Path, *benchmarks: str, seeds: int = 4, overrides: Sequence[str] = ()) -> list[Job]:
    candidate = read_submission(TASK.path, TASK)
    entry = Entry(name="erm", type="baseline", submission=candidate.sha256)
    machine, chosen = Machine("process", "cpu", "fp32", 1), variant(TASK.spec, "smoke", overrides)
    return plan(TASK, candidate, entry, chosen, machine, read_key("public"), runs, benchmarks, range(seeds))


def test_nothing_is_promised_before_anything_is_measured(tmp_path: Path) -> None:
    forecast = Forecast(made := jobs(tmp_path, RESNET))
    forecast.start(made[0])
    assert forecast.left() is None


def test_jobs_take_what_their_benchmark_took(tmp_path: Path) -> None:
    clock = Clock()
    forecast = Forecast(made := jobs(tmp_path, RESNET), clock)
    forecast.start(made[0])
    clock.now = 10
    forecast.end(made[0], trained=True)
    assert forecast.left() == pytest.approx(30)


def test_jobs_at_once_share_the_time_and_the_last_one_still_runs(tmp_path: Path) -> None:
    clock = Clock()
    forecast = Forecast(made := jobs(tmp_path, RESNET), clock)
    forecast.start(made[0])
    forecast.start(made[1])
    clock.now = 10
    forecast.end(made[0], trained=True)
    forecast.end(made[1], trained=True)
    assert forecast.left() == pytest.approx(10)
    forecast.start(made[2])
    clock.now = 14
    forecast.start(made[3])
    clock.now = 16
    assert forecast.left() == pytest.approx(8)


def test_a_first_epoch_is_enough(tmp_path: Path) -> None:
    clock = Clock()
    forecast = Forecast(made := jobs(tmp_path, RESNET), clock)
    forecast.start(made[0])
    clock.now = 2
    forecast.epoch(made[0], 18)
    assert forecast.left() == pytest.approx(18 + 3 * 20)


def test_a_benchmark_not_yet_measured_is_scaled_by_its_work(tmp_path: Path) -> None:
    clock = Clock()
    forecast = Forecast(made := jobs(tmp_path, RESNET, VGG, seeds=1), clock)
    forecast.start(made[0])
    clock.now = 10
    forecast.end(made[0], trained=True)
    resnet, vgg = (START_MS + job.cpu_ms for job in made)
    assert forecast.left() == pytest.approx(10 * vgg / resnet)


def test_what_a_job_takes_beside_its_training_is_not_scaled(tmp_path: Path) -> None:
    """A tiny job that took what starting takes says nothing of minutes for the others."""
    clock = Clock()
    (tiny,), (large,) = (jobs(tmp_path, b, seeds=1, overrides=o) for b, o in ((RESNET, TINY), (VGG, ())))
    forecast = Forecast([tiny, large], clock)
    forecast.start(tiny)
    clock.now = 6
    forecast.end(tiny, trained=True)
    left = forecast.left()
    assert left is not None
    assert left < 2 * (START_MS + large.cpu_ms) / 1000


def test_a_job_that_failed_early_promises_nothing(tmp_path: Path) -> None:
    clock = Clock()
    forecast = Forecast(made := jobs(tmp_path, RESNET), clock)
    forecast.start(made[0])
    clock.now = 1
    forecast.end(made[0], trained=False)
    assert forecast.left() is None


def test_a_plan_that_is_done_has_nothing_left(tmp_path: Path) -> None:
    clock = Clock()
    forecast = Forecast(made := jobs(tmp_path, RESNET, seeds=1), clock)
    forecast.start(made[0].model_copy(update={"folder": tmp_path / "another"}))
    clock.now = 5
    forecast.end(made[0], trained=True)
    assert forecast.left() == 0


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (130, "2 min"), (5940, "99 min"), (12000, "3.3 hours")])
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
