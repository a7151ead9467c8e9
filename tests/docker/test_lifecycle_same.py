"""Containers change no number: with the same torch, the record is that of the bubblewrap backend bit for bit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from container_jobs import TASK, Heard, files_of, submission
from docker import DockerClient

from mlsbench.harness.local import LocalEngine
from mlsbench.harness.plan import Job, Machine, plan
from mlsbench.harness.split import read_key
from mlsbench.harness.variant import variant
from mlsbench.sandbox.choose import backend
from mlsbench.scoring.record import Entry, Stored
from mlsbench.tasks import read_submission

Pair = tuple[Stored, Stored]


def whole_job(folder: Path, sandbox: str, runtime: str | None = None) -> Job:
    """The smoke protocol's first benchmark as users run it."""
    candidate = read_submission(submission(folder), TASK)
    entry = Entry(name="mine", type="vanilla", submission=candidate.sha256)
    machine = Machine(
        sandbox=sandbox, device_kind="cpu", precision="fp32", threads=2, torch=backend(sandbox).torch(), runtime=runtime
    )
    chosen = variant(TASK.spec, "smoke")
    jobs = plan(
        TASK, candidate, entry, chosen, machine, read_key("public"), folder / "runs", chosen.benchmarks[:1], [43]
    )
    return jobs[0]


@pytest.fixture(scope="module")
def contained(image: str, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    mask = os.umask(0o027)  # not a container's own
    (stored,) = LocalEngine(["cpu"], 1).run([whole_job(tmp_path_factory.mktemp("docker"), "docker")], Heard())
    os.umask(mask)
    return stored


@pytest.fixture(scope="module")
def pair(contained: Stored, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    reason = backend("bubblewrap").unavailable()
    if reason is not None:
        pytest.skip(reason)
    if backend("docker").torch() != backend("bubblewrap").torch().partition("+")[0]:
        pytest.skip("image and host have different versions of torch")
    (other,) = LocalEngine(["cpu"], 1).run([whole_job(tmp_path_factory.mktemp("bubblewrap"), "bubblewrap")], Heard())
    return contained, other


def test_both_are_scored(pair: Pair) -> None:
    assert [stored.record.status for stored in pair] == ["scored", "scored"]
    assert [stored.record.setting.sandbox for stored in pair] == ["docker", "bubblewrap"]


def test_metrics_are_the_same(pair: Pair) -> None:
    assert pair[0].record.metrics == pair[1].record.metrics


def test_weights_and_scores_are_the_same_bit_for_bit(pair: Pair) -> None:
    assert files_of(pair[0].path) == files_of(pair[1].path)


def other_runtimes(client: DockerClient) -> list[str]:
    """The runtimes that the engine knows and does not use by itself."""
    info: dict[str, Any] = client.info()
    return sorted(n for n in info["Runtimes"] if n != info["DefaultRuntime"] and not n.startswith("io.containerd."))


def test_other_runtimes_give_the_same(client: DockerClient, contained: Stored, tmp_path: Path) -> None:
    if not (runtimes := other_runtimes(client)):
        pytest.skip("the engine knows no second runtime")
    for runtime in runtimes:
        (tmp_path / runtime).mkdir()
        (stored,) = LocalEngine(["cpu"], 1).run([whole_job(tmp_path / runtime, "docker", runtime)], Heard())
        assert (stored.record.status, stored.record.environment["runtime"]) == ("scored", runtime)
        assert stored.record.metrics == contained.record.metrics
        assert files_of(stored.path) == files_of(contained.path)


def test_files_have_the_permissions_that_the_users_mask_leaves(contained: Stored) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in contained.path.parent.iterdir() if path.suffix}
    assert set(modes.values()) == {0o640}
