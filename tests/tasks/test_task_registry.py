"""Claim: a task is found by its name, and what is wrong with one offered task never hides the others."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from mlsbench import UserError
from mlsbench.tasks import TaskFolder, baseline_path, get_task, list_tasks
from mlsbench.tasks.new import TEMPLATE

NAME = "security-membership-inference-defense"
TINY = TEMPLATE / "example_task"


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a package: offer(distribution, module, source of the module, entry points...)."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(distribution: str, module: str, source: str, *entries: str) -> None:
        (site / f"{module}.py").write_text(source)
        info = site / f"{distribution.replace('-', '_')}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
        (info / "entry_points.txt").write_text("\n".join(["[mlsbench.tasks]", *entries, ""]))
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def test_the_task_that_ships_here_is_listed_with_its_folder() -> None:
    folder = list_tasks()[NAME]
    assert (folder / "task.toml").is_file()
    assert get_task(NAME).path == folder


def test_an_unknown_name_is_answered_with_close_ones() -> None:
    with pytest.raises(UserError, match=f"no task 'membership-defense'; did you mean {NAME}"):
        get_task("membership-defense")


def test_a_name_like_nothing_is_answered_with_all_tasks() -> None:
    with pytest.raises(UserError, match="no task 'zz'; did you mean") as caught:
        get_task("zz")
    assert all(name in str(caught.value) for name in list_tasks())


@pytest.mark.parametrize(
    "source", ["value = {!r}", "import pathlib\nvalue = pathlib.Path({!r})", "def value(): return {!r}"]
)
def test_an_entry_point_may_be_a_string_a_path_or_a_callable(offer, source: str) -> None:
    offer("plug", "plug_ways", source.format(str(TINY)), "example-task = plug_ways:value")
    assert list_tasks()["example-task"] == TINY
    assert get_task("example-task").path == TINY


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise RuntimeError('no luck')", "plug_broken:value of plug is broken: RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "is broken: SystemExit: 3"),
        ("", "is broken: AttributeError"),
        ("def value(): return 1 / 0", "is broken: ZeroDivisionError"),
        ("value = 7", "must give the path of a task folder, not a int"),
        ("value = 'example_task'", "must be an absolute path of a folder that holds task.toml"),
        ("value = '/nonexistent'", "must be an absolute path of a folder that holds task.toml"),
    ],
)
def test_a_broken_entry_point_is_reported_only_to_who_asks_for_it(
    offer, source: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TINY.parent)  # where the relative path would lead to a task
    offer("plug", "plug_broken", source, "broken-task = plug_broken:value")
    assert NAME in list_tasks()
    assert "broken-task" not in list_tasks()
    assert get_task(NAME).spec.id == NAME
    with pytest.raises(UserError, match="broken-task") as caught:
        get_task("broken-task")
    assert message in str(caught.value)


def test_an_id_that_is_not_the_entry_points_name_is_an_error(offer) -> None:
    offer("plug", "plug_renamed", f"value = {str(TINY)!r}", "other-name = plug_renamed:value")
    with pytest.raises(UserError, match=r"task\.toml: id is 'example-task', but the task is found as 'other-name'"):
        get_task("other-name")


def test_a_name_offered_by_two_packages_is_an_error_that_names_both(offer) -> None:
    offer("plug-a", "plug_a", f"value = {str(TINY)!r}", "example-task = plug_a:value")
    offer("plug-b", "plug_b", f"value = {str(TINY)!r}", "example-task = plug_b:value")
    for ask in (list_tasks, lambda: get_task("example-task")):
        with pytest.raises(UserError, match="offered 2 times") as caught:
            ask()
        assert "of plug-a" in str(caught.value)
        assert "of plug-b" in str(caught.value)


def test_a_package_cannot_take_the_name_of_a_task_that_ships_here(offer, tmp_path: Path, task: TaskFolder) -> None:
    folder = shutil.copytree(task.path, tmp_path / "copy")
    offer("plug", "plug_taken", f"value = {str(folder)!r}", f"{NAME} = plug_taken:value")
    with pytest.raises(UserError, match="offered 2 times: mlsbench itself, entry point"):
        get_task(NAME)


@pytest.mark.parametrize("name", list_tasks())
def test_a_task_that_ships_here_has_exactly_the_baselines_of_its_specification(name: str) -> None:
    known = get_task(name).spec.baselines
    files = {baseline.submission or title for title, baseline in known.items()}
    folder = baseline_path(name, "any").parent
    assert {file.stem for file in folder.glob("[!_]*.py")} == files


def test_another_packages_baselines_lie_in_its_tasks_folder(offer) -> None:
    offer("plug", "plug_baselines", f"value = {str(TINY)!r}", "example-task = plug_baselines:value")
    assert baseline_path("example-task", "cross_entropy") == TINY / "baselines" / "cross_entropy.py"
    assert baseline_path("example-task", "cross_entropy").is_file()
