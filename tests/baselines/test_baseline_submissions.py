"""Claim: every baseline is an ordinary submission: the template with its region filled."""

from __future__ import annotations

import pytest

from mlsbench.tasks import baseline_path, get_task, read_submission

TASK = get_task("security-membership-inference-defense")


@pytest.mark.parametrize("name", TASK.spec.baselines)
def test_a_baseline_is_accepted_as_the_full_file_that_it_is(name: str) -> None:
    path = baseline_path(TASK.spec.id, name)
    assert read_submission(path, TASK).text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TASK.spec.baselines)
def test_a_baseline_still_works_when_only_its_region_is_handed_in(name: str, tmp_path) -> None:
    path = baseline_path(TASK.spec.id, name)
    contract = TASK.spec.contract
    region = path.read_text(encoding="utf-8").partition(contract.begin + "\n")[2].partition(contract.end)[0]
    (tmp_path / "region.py").write_text(region, encoding="utf-8")
    assert read_submission(tmp_path / "region.py", TASK).text.split() == path.read_text(encoding="utf-8").split()
