"""`verify` runs a record's submission again: a true record is the same to the last bit, an edited one is found."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TASK = "security-membership-inference-defense"
TINY = (
    "--protocol", "smoke", "--benchmark", "resnet20-digits", "--seed", "42", "--override", "epochs=1",
    "--override", "members=64", "--sandbox", "process", "--device", "cpu", "--jobs", "2",
)  # fmt: skip

Call = Callable[..., tuple[int, str, str]]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_bytes(bytes(range(32)))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def recorded(mlsbench_run: Any, candidate: Any, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a record made under a key of its own."""
    folder = tmp_path_factory.mktemp("recorded")
    submission = candidate("return F.cross_entropy(logits, labels)")
    done = mlsbench_run("run", TASK, "--submission", submission, "--key", key, *TINY, cwd=folder)
    assert done.returncode in (0, 1), done.stderr
    (path,) = folder.rglob("record.json")
    return path.parent


@pytest.fixture
def copy(recorded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(recorded, tmp_path / "copy")


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "record.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_true_record_is_the_same_to_the_last_bit(mlsbench_run: Any, recorded: Path, key: Path) -> None:
    before = sorted(path.name for path in recorded.iterdir())
    done = mlsbench_run("verify", recorded / "record.json", "--key", key, "--sandbox", "process", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["same"], document["expected"], document["notes"]) == (0, True, "bits", [])
    assert set(document["metrics"]) == {"test_acc", "mia_auc", "privacy_gap", "privacy_score"}
    assert sorted(path.name for path in recorded.iterdir()) == before


def test_an_edited_metric_is_found(mlsbench_run: Any, copy: Path, key: Path) -> None:
    edit(copy, lambda document: document["metrics"].update(mia_auc=document["metrics"]["mia_auc"] - 1e-6))
    done = mlsbench_run("verify", copy, "--key", key, "--sandbox", "process")
    assert done.returncode == 1
    assert "differs:\n  mia_auc: " in done.stdout
    assert "by the logits in scores.npz" in done.stdout


def test_a_record_of_other_code_is_compared_within_the_tolerance_and_says_so(
    mlsbench_run: Any, copy: Path, key: Path
) -> None:
    def older(document: dict[str, Any]) -> None:
        document["setting"]["frozen"] = "0" * 64
        setting = {**document["setting"], "submission": document["entry"]["submission"]}
        text = json.dumps(setting, sort_keys=True, separators=(",", ":"))
        document["job_key"] = hashlib.sha256(text.encode()).hexdigest()

    edit(copy, older)
    done = mlsbench_run("verify", copy, "--key", key, "--sandbox", "process")
    assert done.returncode == 0, done.stdout
    assert "note: code 000000000000… in the record" in done.stderr
    assert "to agree within 0.03" in done.stdout


def test_another_submission_beside_the_record_is_found_without_running(call: Call, copy: Path) -> None:
    (copy / "submission.py").write_text((copy / "submission.py").read_text() + "\n")
    status, output, _ = call("verify", copy)
    assert (status, "submission.py has SHA-256" in output) == (1, True)


def test_a_secret_key_is_asked_for_by_its_digest(call: Call, recorded: Path, key: Path) -> None:
    status, output, errors = call("verify", recorded)
    assert (status, output) == (2, "")
    assert hashlib.sha256(key.read_bytes()).hexdigest() in errors
    assert "--key FILE" in errors


def test_another_key_is_refused(call: Call, recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(32))
    (tmp_path / "key").chmod(0o600)
    status, _, errors = call("verify", recorded, "--key", tmp_path / "key")
    assert (status, "the record was made under" in errors) == (2, True)


def test_a_key_as_it_was_downloaded_is_refused_with_what_mends_it(call: Call, recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(range(32)))
    (tmp_path / "key").chmod(0o644)
    status, _, errors = call("verify", recorded, "--key", tmp_path / "key")
    assert (status, "`chmod 600 FILE`" in errors, "urandom" in errors) == (2, True, False)


def test_an_edited_setting_is_no_record(call: Call, copy: Path) -> None:
    edit(copy, lambda document: document["setting"].update(seed=43))
    status, _, errors = call("verify", copy)
    assert (status, "job_key does not belong" in errors) == (2, True)


def test_a_record_without_its_submission_cannot_be_verified(call: Call, copy: Path) -> None:
    (copy / "submission.py").unlink()
    status, _, errors = call("verify", copy)
    assert (status, "must stand beside its record" in errors) == (2, True)


def test_a_job_that_says_nothing_of_its_submission_is_not_verified(call: Call, copy: Path) -> None:
    edit(copy, lambda document: document.update(status="infra_failed"))
    status, _, errors = call("verify", copy)
    assert (status, "nothing to verify" in errors) == (2, True)


def test_another_file_is_no_record(call: Call, copy: Path) -> None:
    status, _, errors = call("verify", copy / "submission.py")
    assert (status, "name a record.json or its folder" in errors) == (2, True)
