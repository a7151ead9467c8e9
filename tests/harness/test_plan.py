"""A plan's jobs are the protocol's, have keys that differ with whatever decides a number, and fit their data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mlsbench.harness
from mlsbench import UserError
from mlsbench.harness.data import data_keys
from mlsbench.harness.digits import digits
from mlsbench.harness.frozen import FROZEN, frozen_digest
from mlsbench.harness.plan import Job, Machine, cpu_seconds, plan, require_data
from mlsbench.harness.split import SplitKey, membership, read_key
from mlsbench.harness.variant import Variant, variant
from mlsbench.scoring.record import Entry
from mlsbench.tasks import get_task, read_submission

TASK = get_task("security-membership-inference-defense")
SPEC = TASK.spec
TINY = ("epochs=1", "members=64")
MACHINE = Machine(sandbox="process", device_kind="cpu", precision="fp32", threads=1)


def jobs(runs: Path, **changes: Any) -> list[Job]:
    """One job of resnet20-digits under a tiny smoke, or what `changes` say."""
    submission = changes.pop("submission", TASK.path / SPEC.contract.file)
    candidate = read_submission(submission, TASK)
    entry = Entry(name="mine", type="vanilla", submission=candidate.sha256)
    values: dict[str, Any] = {
        "task": TASK,
        "submission": candidate,
        "entry": entry,
        "chosen": variant(SPEC, "smoke", TINY),
        "machine": MACHINE,
        "key": read_key("public"),
        "runs": runs,
        "benchmarks": ["resnet20-digits"],
        "seeds": [42],
    }
    return plan(**{**values, **changes})


def key(job: Job) -> str:
    return job.setting.job_key(job.entry.submission)


def test_more_members_than_half_the_pool_are_refused_with_the_most_there_are(tmp_path: Path) -> None:
    assert len(jobs(tmp_path, chosen=variant(SPEC, "smoke", ["members=718"]))) == 1
    with pytest.raises(UserError, match=r"members=719.*resnet20-digits has room for 718"):
        jobs(tmp_path, chosen=variant(SPEC, "smoke", ["members=719"]))


@pytest.mark.parametrize("overrides", [["members=1"], ["members=65"], ["batch=717"], ["batch=239"]])
def test_a_last_batch_of_one_image_is_refused(tmp_path: Path, overrides: list[str]) -> None:
    with pytest.raises(UserError, match="last batch of one image"):
        jobs(tmp_path, chosen=variant(SPEC, "smoke", overrides))


def test_the_jobs_are_all_seeds_of_a_benchmark_before_the_next(tmp_path: Path) -> None:
    chosen = variant(SPEC, "smoke", TINY)
    made = jobs(tmp_path, benchmarks=chosen.benchmarks, seeds=chosen.seeds)
    assert [(j.setting.benchmark, j.setting.seed) for j in made] == [
        (benchmark, seed) for benchmark in chosen.benchmarks for seed in (42, 43)
    ]


def test_each_job_has_a_folder_of_its_own_below_the_runs_folder(tmp_path: Path) -> None:
    chosen = variant(SPEC, "smoke", TINY)
    folders = {j.folder for j in jobs(tmp_path, benchmarks=chosen.benchmarks, seeds=chosen.seeds)}
    assert len(folders) == 6
    assert all(folder.is_relative_to(tmp_path) and folder.is_absolute() for folder in folders)


def test_planning_writes_nothing(tmp_path: Path) -> None:
    jobs(tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def _variants(tmp_path: Path) -> dict[str, dict[str, Any]]:
    other = tmp_path / "other.py"
    other.write_text((TASK.path / SPEC.contract.file).read_text().replace("return F", "return 2 * F"))
    return {
        "seed": {"seeds": [43]},
        "benchmark": {"benchmarks": ["vgg16bn-digits"]},
        "protocol": {"chosen": variant(SPEC, "smoke", ["epochs=2", "members=64"])},
        "key": {"key": SplitKey(bytes(32), "zero")},
        "sandbox": {"machine": Machine("bubblewrap", "cpu", "fp32", 1)},
        "device": {"machine": Machine("process", "cuda", "fp32", 1)},
        "precision": {"machine": Machine("process", "cpu", "bf16", 1)},
        "submission": {"submission": other},
    }


def test_job_keys_differ_with_all_that_decides_a_number(tmp_path: Path) -> None:
    keys = {name: key(*jobs(tmp_path, **changes)) for name, changes in _variants(tmp_path).items()}
    keys["none"] = key(*jobs(tmp_path))
    assert len(set(keys.values())) == len(keys)


def test_job_keys_do_not_depend_on_where_the_files_are_or_what_the_entry_is_called(tmp_path: Path) -> None:
    candidate = read_submission(TASK.path / SPEC.contract.file, TASK)
    renamed = Entry(name="another", type="agent", submission=candidate.sha256)
    assert key(*jobs(tmp_path / "a")) == key(*jobs(tmp_path / "b", entry=renamed))


def test_a_job_survives_its_way_as_json(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, key=SplitKey(bytes(range(224, 256)), "secret"))
    back = Job.model_validate_json(job.model_dump_json())
    assert back == job
    assert back.key == bytes(range(224, 256))


def test_the_first_members_of_the_prepared_order_are_the_pool_of_every_seed() -> None:
    arrays = digits()
    keys = data_keys(arrays["train_images"], arrays["train_labels"])[:128]
    even, odd = (membership(b"public", seed, keys) for seed in (42, 43))
    assert even.sum() == odd.sum() == 64
    assert not (even & odd).any()


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, whose files may be changed."""
    root = tmp_path_factory.mktemp("copy") / "mlsbench"
    source = Path(mlsbench.harness.__path__[0]).resolve().parent
    shutil.copytree(source / "src" / "mlsbench", root, symlinks=False, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def _digest_of(copied: Path) -> str:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from mlsbench.harness.frozen import frozen_digest\n"
        "from mlsbench.tasks import get_task\n"
        "print(frozen_digest(get_task('security-membership-inference-defense')))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(copied.parent)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _touched_digest(copied: Path, name: str) -> str:
    path, before = copied / name, (copied / name).read_bytes()
    try:
        path.write_bytes(before + b"\n# changed\n")
        return _digest_of(copied)
    finally:
        path.write_bytes(before)


def test_the_frozen_digest_is_the_same_wherever_the_package_lies(copied: Path) -> None:
    assert _digest_of(copied) == frozen_digest(TASK)


def test_a_change_of_frozen_code_template_or_specification_changes_the_digest(copied: Path) -> None:
    task = f"tasks/{SPEC.id}"
    names = ["harness/trainer.py", "harness/models/resnet.py", "sandbox/candidate.py", "scoring/membership.py",
             f"{task}/measure.py", f"{task}/{SPEC.contract.file}"]  # fmt: skip
    digests = [frozen_digest(TASK), *(_touched_digest(copied, name) for name in names)]
    assert len(set(digests)) == len(names) + 1
    other = replace(TASK, spec=SPEC.model_copy(update={"version": SPEC.version + 1}))
    assert frozen_digest(other) not in digests


def test_every_module_that_a_number_passes_through_is_frozen() -> None:
    here = Path(mlsbench.harness.__path__[0])
    frozen = {f.resolve() for pattern in FROZEN for f in here.glob(pattern)} | {
        (here / name).resolve() for name in FROZEN if "*" not in name
    }
    assert all(f.is_file() for f in frozen)
    models = {f.resolve() for f in (here / "models").glob("*.py")}
    assert models <= frozen
    assert {(here / f"{name}.py").resolve() for name in ("split", "images", "trainer", "oracle")} <= frozen


def _paper(runs: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    monkeypatch.setenv("MLSBENCH_DATA", str(data))
    chosen: Variant = variant(SPEC, "paper")
    return jobs(runs, chosen=chosen, benchmarks=chosen.benchmarks, seeds=chosen.seeds)


def test_missing_datasets_are_named_with_the_one_command_that_prepares_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cifar100.npz").touch()
    with pytest.raises(UserError, match="`mlsbench data prepare cifar10 fashion_mnist`"):
        require_data(_paper(tmp_path, tmp_path, monkeypatch))


def test_digits_need_no_preparation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLSBENCH_DATA", str(tmp_path / "nowhere"))
    require_data(jobs(tmp_path))


def test_the_estimate_of_a_protocol_is_the_sum_of_its_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    made = _paper(tmp_path, tmp_path, monkeypatch)
    expected = 4 * 100 * (0.0009 * 25000 + 0.007 * 25000 + 0.0044 * 30000)
    assert cpu_seconds(made) == pytest.approx(expected)
    assert cpu_seconds(jobs(tmp_path)) == pytest.approx(0.001 * 64)


def test_a_record_of_the_same_job_alone_counts_as_finished(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path)
    assert job.finished() is None
    job.folder.mkdir(parents=True)
    other = job.setting.model_copy(update={"sandbox": "bubblewrap"})
    for setting, status, done in ((other, "scored", False), (job.setting, "infra_failed", False),
                                  (job.setting, "cancelled", False), (job.setting, "collapsed", True)):  # fmt: skip
        record = {
            "job_key": setting.job_key(job.entry.submission), "entry": job.entry.model_dump(), "status": status,
            "setting": setting.model_dump(), "metrics": {}, "created": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        (job.folder / "record.json").write_text(json.dumps(record))
        assert bool(job.finished()) is done
