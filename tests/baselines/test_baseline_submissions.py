"""Claim: every baseline is an ordinary submission: the template with its region filled."""

from __future__ import annotations

import pytest

from mlsbench.tasks import TaskFolder, baseline_path, get_task, list_tasks, read_submission

FILES = [
    (task, baseline.submission or name)
    for task in map(get_task, list_tasks())
    for name, baseline in task.spec.baselines.items()
]


@pytest.mark.parametrize(("task", "name"), FILES, ids=[f"{task.spec.id}-{name}" for task, name in FILES])
def test_a_baseline_is_accepted_as_the_full_file_that_it_is(task: TaskFolder, name: str) -> None:
    path = baseline_path(task.spec.id, name)
    assert read_submission(path, task).text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("task", "name"), FILES, ids=[f"{task.spec.id}-{name}" for task, name in FILES])
def test_a_baseline_still_works_when_only_its_region_is_handed_in(task: TaskFolder, name: str, tmp_path) -> None:
    path = baseline_path(task.spec.id, name)
    contract = task.spec.contract
    region = path.read_text(encoding="utf-8").partition(contract.begin + "\n")[2].partition(contract.end)[0]
    (tmp_path / "region.py").write_text(region, encoding="utf-8")
    assert read_submission(tmp_path / "region.py", task).text.split() == path.read_text(encoding="utf-8").split()
