"""How long an audit takes and how much memory: everything that needs no training, on logits made up for it.

    python benchmarks/audit.py [--examples 50000] [--classes 100] [--seeds 4]

Prints one table: seconds of wall clock and of processors, and the largest resident memory. The logits are those of a
model that leaks; what is in them hardly changes the time.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sklearn

from mlsbench.scoring.audit import Kept, audit_entry
from mlsbench.scoring.record import Entry, Record, Setting
from mlsbench.scoring.trained import Trained

DIGEST = "0" * 64


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    kept = {42 + i: made_up(42 + i, options.examples, options.classes) for i in range(options.seeds)}
    load = os.getloadavg()[0]
    started, before = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        audit = audit_entry(kept)
        (Path(folder) / "audit.json").write_text(audit.model_dump_json())
    wall, processor = time.monotonic() - started, time.process_time() - before
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    attacks = sum(len(seed.attacks) for seed in audit.seeds)
    print(f"NumPy {np.__version__}, scikit-learn {sklearn.__version__}, Python {platform.python_version()}, "
          f"{os.cpu_count()} cores, load {load:.1f} before the start\n")  # fmt: skip
    print("| logits | seeds | attacks | wall, s | processors, s | memory, MiB |")
    print("|---|---|---|---|---|---|")
    size = f"{options.examples}×{options.classes}"
    print(f"| {size} | {options.seeds} | {attacks} | {wall:.1f} | {processor:.1f} | {memory} |")


def made_up(seed: int, examples: int, classes: int) -> Kept:
    """Logits, float32, of a model that is right about two thirds of non-members and surer of members."""
    random = np.random.default_rng(seed)
    low = np.random.default_rng(seed // 2).permutation(examples) < examples // 2
    member = low if seed % 2 == 0 else ~low
    labels = np.random.default_rng(0).integers(classes, size=examples)
    logits = random.normal(size=(examples, classes)).astype(np.float32)
    logits[np.arange(examples), labels] += np.where(
        member, random.normal(7, 2, examples), random.normal(4, 3, examples)
    )
    setting = Setting(
        task="made-up", task_version=1, frozen=DIGEST, benchmark="made-up", protocol="made-up", seed=seed,
        model="resnet20",
        split_key=DIGEST, sandbox="process", device_kind="cpu", precision="fp32", torch="0", data=DIGEST,
    )  # fmt: skip
    entry = Entry(name="made up", type="vanilla", submission=DIGEST)
    record = Record(
        job_key=setting.job_key(DIGEST), entry=entry, setting=setting, status="scored", metrics={},
        created=datetime.now(UTC),
    )  # fmt: skip
    tested, none = slice(0, examples // 5), np.zeros(examples, np.bool_)
    return Kept(record, DIGEST, Trained(logits, labels, labels, member, none, logits[tested], labels[tested]))


if __name__ == "__main__":
    main()
