"""The Ray engine gives the local one's records, whatever dies on the way, and leaves nothing on any node."""

from __future__ import annotations

import base64
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlsbench import MachineError, UserError
from mlsbench.harness.engine import Event
from mlsbench.harness.local import LocalEngine
from mlsbench.harness.plan import Job, Machine, plan
from mlsbench.harness.split import SplitKey, read_key
from mlsbench.harness.variant import variant
from mlsbench.sandbox.owner import identity
from mlsbench.scoring import Column, Plan, aggregate, find_records, render
from mlsbench.scoring.record import Entry, Stored
from mlsbench.tasks import get_task, read_submission

pytest.importorskip("ray", reason="Ray is not installed: pip install 'mlsbench[ray]'")
pytestmark = pytest.mark.ray

from ray.cluster_utils import Cluster  # noqa: E402

from mlsbench.harness.ray_engine import RayEngine  # noqa: E402

SHORT = [sys.executable, "-P", str(Path(__file__).parents[2] / "benchmarks" / "short_job.py")]
TASK = get_task("security-membership-inference-defense")
BENCHMARK = "resnet20-digits"
MACHINE = Machine(sandbox="process", device_kind="cpu", precision="fp32", threads=1)
DEADLINE = 100
TINY = ("epochs=2", "members=64", "batch=16")


def make_jobs(runs: Path, seeds: Sequence[int], machine: Machine = MACHINE, **changes: Any) -> list[Job]:
    candidate = read_submission(TASK.path / TASK.spec.contract.file, TASK)
    entry = Entry(name="erm", type="vanilla", submission=candidate.sha256)
    overrides = changes.pop("overrides", ("epochs=10", "members=64", "batch=16"))
    key, chosen = changes.pop("key", read_key("public")), variant(TASK.spec, "smoke", overrides)
    return plan(TASK, candidate, entry, chosen, machine, key, runs, [BENCHMARK], seeds)


class Heard:
    """A listener that keeps what it hears and reacts to it."""

    def __init__(self, react: Callable[[Event], None] = lambda event: None) -> None:
        self.events: list[Event] = []
        self._react = react

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._react(event)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE} s"
        time.sleep(0.05)
    return value


def processes(name: str, within: str = "") -> list[int]:
    """Processes whose command line holds `name` and whose environment holds `within`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if name.encode() in (entry / "cmdline").read_bytes() and within in (entry / "environ").read_text():
                    found.append(int(entry.name))
            except OSError:
                pass  # gone
    return found


def children(process: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == process:
                    found.append(int(entry.name))
            except OSError:
                pass  # gone
    return found


def short_jobs(cluster: Cluster) -> list[int]:
    return processes("short_job.py", cluster.address)


def folders() -> list[Path]:
    """Folders that jobs left on the nodes, all of which are this machine."""
    return [p for p in Path(tempfile.gettempdir()).glob("mlsbench-*/job") if identity() not in str(p)]


def table(stored: list[Stored]) -> str:
    columns = tuple(Column(m.name, m.title, m.direction, m.primary) for m in TASK.spec.metrics)
    chosen = Plan((BENCHMARK,), tuple(s.record.setting.seed for s in stored), columns)
    return str(render(aggregate([s.record for s in stored], chosen), chosen, "json"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes with a core each, the second with a logical GPU; they were started in a folder of planted modules."""
    planted = tmp_path_factory.mktemp("planted")
    for name in ("pydantic", "torch", "numpy", "mlsbench"):
        (planted / f"{name}.py").write_text("raise SystemExit('planted')\n")
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0",
        "RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "4",  # a dead node is missed sooner
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.setenv("MLSBENCH_DATA", str(tmp_path_factory.mktemp("no-data")))
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False})
        made.add_node(num_cpus=1, num_gpus=1)
        patch.setenv("RAY_ADDRESS", made.address)
        patch.chdir(planted)
        yield made
        made.shutdown()


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    yield
    until(lambda: not short_jobs(cluster), "all jobs are gone")
    until(lambda: not folders(), "all folders of jobs are gone")


def test_records_are_the_local_engines_bit_for_bit_apart_from_timing_and_host(cluster: Cluster, tmp_path: Path) -> None:
    """Real jobs."""
    heard = Heard()
    here = LocalEngine(["cpu"], 2).run(make_jobs(tmp_path / "here", (42, 43), overrides=TINY), lambda event: None)
    there = RayEngine().run(make_jobs(tmp_path / "there", (42, 43), overrides=TINY), heard)
    for one, other in zip(here, there, strict=True):
        dropped = {"created": None, "timing": {}, "environment": {}, "training": {}}
        assert one.record.model_copy(update=dropped) == other.record.model_copy(update=dropped)
        a, b = one.path.parent, other.path.parent
        assert {p.name for p in a.iterdir()} == {p.name for p in b.iterdir()}
        for name in ("submission.py", "weights.safetensors"):
            assert (a / name).read_bytes() == (b / name).read_bytes()
        with np.load(a / "scores.npz") as mine, np.load(b / "scores.npz") as theirs:
            assert all(
                np.array_equal(mine[array], theirs[array]) for array in ("train_logits", "test_logits", "member")
            )
    for seed in (42, 43):
        kinds = [event.kind for event in heard.events if event.job.setting.seed == seed]
        assert kinds == ["start", *["epoch"] * 2, "end"]
    assert table(here) == table(there)


def test_a_job_whose_process_is_killed_goes_to_another_node(cluster: Cluster, tmp_path: Path) -> None:
    began: list[int] = []

    def kill(event: Event) -> None:
        if event.kind == "epoch" and event.data["epoch"] == 1:
            began.append(event.data["raylet"])
            if event.job.attempt == 1:
                os.kill(event.data["process"], signal.SIGKILL)

    heard = Heard(kill)
    (stored,) = RayEngine(command=SHORT).run(make_jobs(tmp_path, (42,)), heard)
    assert [event.kind for event in heard.events if event.kind != "epoch"] == ["start", "retry", "start", "end"]
    assert "SIGKILL" in heard.of("retry")[0].data["reason"]
    assert (stored.record.status, stored.record.attempts) == ("scored", 2)
    assert began[0] != began[1]


def test_a_worker_of_rays_that_is_killed_takes_its_job_along_and_the_job_is_tried_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    def kill(event: Event) -> None:
        if event.kind == "epoch" and event.data["epoch"] == 1 and event.job.attempt == 1:
            stat = Path(f"/proc/{event.data['process']}/stat").read_text()
            os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)  # its parent

    heard = Heard(kill)
    (stored,) = RayEngine(command=SHORT).run(make_jobs(tmp_path, (42,)), heard)
    assert [stored.record.attempts] == [2]
    assert len(heard.of("retry")) == 1


def test_the_logs_of_all_attempts_come_home(cluster: Cluster, tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit('nothing works')"]
    (stored,) = RayEngine(command=failing).run(make_jobs(tmp_path, (42,)), lambda event: None)
    assert (stored.record.status, stored.record.attempts) == ("infra_failed", 3)
    logs = sorted(p.name for p in stored.path.parent.glob("job*.log"))
    assert logs == ["job.1.log", "job.2.log", "job.log"]


def test_jobs_share_a_gpu_and_no_more_than_fit(cluster: Cluster, tmp_path: Path) -> None:
    """Shares of a half on the only GPU, beside one core; so that the GPU decides, jobs want none of the latter."""
    jobs = make_jobs(tmp_path, range(4), replace(MACHINE, threads=0, shares={BENCHMARK: 0.5}))
    heard = Heard()
    stored = RayEngine(command=SHORT).run(jobs, heard)
    ended = {event.job.setting.seed: event.data["ended"] for event in heard.of("epoch") if "ended" in event.data}
    spans = [(s.record.timing["began"], ended[s.record.setting.seed]) for s in stored]
    at_once = [sum(began <= moment < ended for began, ended in spans) for moment, _ in spans]
    assert max(at_once) == 2


def test_what_no_node_can_hold_is_refused_at_once(cluster: Cluster, tmp_path: Path) -> None:
    jobs = make_jobs(tmp_path, (42,), replace(MACHINE, threads=64))
    with pytest.raises(MachineError, match="no node of the Ray cluster has 64 CPUs"):
        RayEngine(command=SHORT).run(jobs, lambda event: None)


def test_data_that_a_node_lacks_are_told_with_its_name_and_the_command(cluster: Cluster, tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, (42,))
    job = job.model_copy(update={"setting": job.setting.model_copy(update={"benchmark": "resnet20-cifar10"})})
    with pytest.raises(UserError, match=rf"on node {os.uname().nodename}: .*mlsbench data prepare cifar10"):
        RayEngine(command=SHORT).run([job], lambda event: None)


def test_a_node_with_another_torch_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    jobs = make_jobs(tmp_path, (42,), replace(MACHINE, torch="1.0"))
    with pytest.raises(UserError, match=r"torch .* is installed, and the plan is for 1\.0"):
        RayEngine(command=SHORT).run(jobs, lambda event: None)


def test_whoever_stops_the_engine_ends_running_jobs_and_gets_no_record(cluster: Cluster, tmp_path: Path) -> None:
    class Enough(BaseException):
        pass

    def stop(event: Event) -> None:
        if event.kind == "epoch" and event.data["epoch"] == 2:
            raise Enough

    jobs = make_jobs(tmp_path, range(6), overrides=("epochs=9999", "members=64"))
    with pytest.raises(Enough):
        RayEngine(command=SHORT).run(jobs, stop)
    assert not short_jobs(cluster)
    assert not list(tmp_path.rglob("record.json"))


def test_a_secret_key_reaches_the_job_and_no_file_of_rays(cluster: Cluster, tmp_path: Path) -> None:
    key = SplitKey(bytes.fromhex("5ec2e7") * 11, "secret")
    (stored,) = RayEngine(command=SHORT).run(make_jobs(tmp_path, (42,), key=key), lambda event: None)
    assert stored.record.environment["key_bytes"] == 33
    traces = (key.secret, key.secret.hex().encode(), base64.b64encode(key.secret))
    session = Path(cluster.head_node.get_session_dir_path())
    files = [p for folder in (session, tmp_path) for p in folder.rglob("*") if p.is_file()]
    assert len(files) > 10
    assert not [p for p in files if any(trace in p.read_bytes() for trace in traces)]


@pytest.mark.parametrize("count", [4, 2])
def test_a_node_that_is_killed_costs_its_jobs_an_attempt_and_nothing_else(
    cluster: Cluster, tmp_path: Path, count: int
) -> None:
    """What it had begun is never counted. The last test, because the cluster shrinks."""
    while len(cluster.list_all_nodes()) < count:
        cluster.add_node(num_cpus=1)
    while len(cluster.list_all_nodes()) > count:
        cluster.remove_node(cluster.list_all_nodes()[-1])
    doomed = cluster.list_all_nodes()[-1]
    raylet = doomed.all_processes["raylet"][0].process.pid

    def kill(event: Event) -> None:
        if event.kind == "epoch" and event.data["raylet"] == raylet and event.data["epoch"] == 1:
            for process in (raylet, *children(raylet)):
                os.kill(process, signal.SIGKILL)

    heard, long = Heard(kill), ("epochs=15", "members=64", "batch=16")  # so that every node gets some
    jobs = {where: make_jobs(tmp_path / where, range(6), overrides=long) for where in ("here", "there")}
    right = LocalEngine(["cpu"], 4, SHORT).run(jobs["here"], lambda event: None)
    stored = RayEngine(command=SHORT).run(jobs["there"], heard)
    cluster.remove_node(doomed)
    assert table(stored) == table(right)
    assert len(find_records(tmp_path / "there")[0]) == 6
    retried = {event.job.setting.seed for event in heard.of("retry")}
    assert retried
    assert {s.record.setting.seed for s in stored if s.record.attempts > 1} == retried
    assert {"its node died" in event.data["reason"] for event in heard.of("retry")} == {True}
    assert raylet not in {s.record.environment["raylet"] for s in stored}
