"""What a job leaves for attacks, made up on digits that are split as a real job splits them; nothing is trained."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mlsbench.harness.data import Prepared, load
from mlsbench.harness.split import membership, read_key
from mlsbench.scoring import Entry, Record, Setting, job_folder, write_record
from mlsbench.tasks import get_task

TASK, BENCHMARK, MEMBERS = "security-membership-inference-defense", "resnet20-digits", 200
PROTOCOL = f"smoke+members={MEMBERS}"
SETTING: dict[str, Any] = {
    "task": TASK, "task_version": 1, "frozen": "f" * 64, "protocol": PROTOCOL, "benchmark": BENCHMARK,
    "split_key": read_key("public").digest, "sandbox": "process", "device_kind": "cpu", "precision": "fp32",
    "torch": "2.6", "model": "resnet20",
}  # fmt: skip
CURVE = "epoch,test_acc,member_acc,mia_auc\n" + "".join(f"{i},{i / 10},{i / 8},{0.5 + i / 100}\n" for i in range(6))

DIGITS = get_task(TASK).spec.datasets["digits"]
WHOLE = hashlib.sha256((DIGITS.train_fingerprint + DIGITS.test_fingerprint).encode()).hexdigest()


@cache
def digits() -> Prepared:
    """The pool of the protocol."""
    return load("digits", DIGITS, None, MEMBERS)


def write_job(root: Path, seed: int, name: str = "mine", status: str = "scored", **changes: Any) -> Path:
    """The record below `root` of a job whose model is surer of members, beside the files that it kept."""
    data, random = digits(), np.random.default_rng(seed)
    member = membership(b"public", seed, data.train_keys)
    logits = random.normal(size=(len(member), 10)).astype(np.float32)
    logits[np.arange(len(member)), data.train_labels] += 4 + 2 * member
    test = random.normal(size=(len(data.test_labels), 10)).astype(np.float32)
    setting = Setting(**{**SETTING, "seed": seed, "data": WHOLE, **changes})
    entry = Entry(name=name, type="agent", submission=name.encode().hex().ljust(64, "0")[:64])
    metrics = {"test_acc": 0.9, "mia_auc": 0.6, "privacy_gap": 0.1, "privacy_score": 0.8}
    record = Record(
        job_key=setting.job_key(entry.submission), entry=entry, setting=setting, status=status,
        metrics=metrics, created=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    folder = job_folder(root, setting, entry)
    folder.mkdir(parents=True)
    kept = io.BytesIO()
    np.savez(kept, train_logits=logits, test_logits=test, member=member)
    (folder / "scores.npz").write_bytes(kept.getvalue())
    (folder / "curve.csv").write_text(CURVE)
    return write_record(folder, record)
