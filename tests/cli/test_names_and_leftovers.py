"""Names are data wherever they come from, secrets stay out of files, and damaged records stop nobody."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

TASK = "security-membership-inference-defense"
OPTIONS = (
    "--protocol", "smoke", "--benchmark", "resnet20-digits", "--seed", "42", "--sandbox", "process", "--device", "cpu",
    "--override", "epochs=1", "--override", "members=64", "--jobs", "2",
)  # fmt: skip
NAMES = {"path": "../../x", "markup": "<script>[red]=1+1", "control": "a\x1b[2J\x07b\nc\u202e", "long": "n" * 10_000}


class Named(NamedTuple):
    runs: Path
    done: Any
    secret: bytes

    @property
    def record(self) -> dict[str, Any]:
        return json.loads(self.done.stdout)["records"][0]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def named(mlsbench_run: Any, candidate: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Named]:
    """A run under each hostile name with a secret key, all but one of whose losses are rejected before they train."""
    folder, secret = tmp_path_factory.mktemp("named"), os.urandom(32)
    key = folder / "key"
    key.write_bytes(secret)
    key.chmod(0o600)
    rejected = candidate("return torch.zeros(())")
    sound = candidate("return F.cross_entropy(logits, labels)")

    def run(kind: str) -> Named:
        runs, submission = folder / kind / "runs", sound if kind == "path" else rejected
        arguments = ("--name", NAMES[kind], "--key", key, "--runs", runs, *OPTIONS, "--json")
        return Named(runs, mlsbench_run("run", TASK, "--submission", submission, *arguments), secret)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(NAMES, pool.map(run, NAMES), strict=True))


@pytest.mark.parametrize("kind", NAMES)
def test_a_hostile_name_ends_as_one_printable_line_and_as_no_path(named: dict[str, Named], kind: str) -> None:
    run = named[kind]
    name = run.record["entry"]["name"]
    assert name.isprintable()
    assert len(name) <= 200
    assert [p.name for p in run.runs.parent.iterdir()] == ["runs"]
    (entry,) = (run.runs / TASK / "smoke+epochs=1+members=64").iterdir()
    assert set(entry.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(entry.name) < 80


def test_a_name_of_plain_characters_is_kept(named: dict[str, Named]) -> None:
    assert named["path"].record["entry"]["name"] == NAMES["path"]
    assert named["markup"].record["entry"]["name"] == NAMES["markup"]


def test_no_escape_sequence_reaches_the_terminal(named: dict[str, Named]) -> None:
    done = named["control"].done
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr)


def test_standard_output_is_one_json_document(named: dict[str, Named]) -> None:
    for run in named.values():
        document = json.loads(run.done.stdout)
        assert set(document) == {"caption", "records", "table"}
        assert run.done.stderr


def test_the_split_key_is_in_no_file_and_no_output(named: dict[str, Named]) -> None:
    run = named["path"]
    assert run.record["status"] in ("scored", "collapsed")
    written = b"".join(p.read_bytes() for p in run.runs.rglob("*") if p.is_file())
    written += run.done.stdout.encode() + run.done.stderr.encode()
    secret = run.secret
    forms = [secret, secret.hex().encode(), secret.hex().upper().encode(), repr(secret)[2:-1].encode()]
    forms += [encode(secret).rstrip(b"=")[:42] for encode in (base64.b64encode, base64.urlsafe_b64encode)]
    assert len(written) > 100_000
    assert not [form for form in forms if form in written]


def test_the_record_names_the_key_by_its_digest(named: dict[str, Named]) -> None:
    assert named["path"].record["setting"]["split_key"] == hashlib.sha256(named["path"].secret).hexdigest()


@pytest.mark.slow
def test_a_job_whose_record_is_damaged_is_run_beside_it(mlsbench_run: Any, candidate: Any, tmp_path: Path) -> None:
    arguments = ("run", TASK, "--submission", candidate("return torch.zeros(())"), "--runs", tmp_path, *OPTIONS)
    first = mlsbench_run(*arguments)
    (path,) = tmp_path.rglob("record.json")
    path.write_text(path.read_text()[:300])
    again = mlsbench_run(*arguments)
    assert (first.returncode, again.returncode) == (3, 3)
    assert "Traceback" not in again.stderr
    assert len(path.read_text()) == 300
    assert len(list(tmp_path.rglob("record.json"))) == 2
    table = mlsbench_run("table", TASK, "--runs", tmp_path, "--protocol", "smoke", *OPTIONS[10:14])
    assert "rejected 1/2" in table.stdout or "rejected 1/1" in table.stdout
    assert str(path) in table.stderr
