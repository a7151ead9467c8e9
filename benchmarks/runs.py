"""How long the command takes that people give: one entry, all benchmarks of a protocol, several seeds, sandbox and all.

    python benchmarks/runs.py [--protocol paper] [--seeds 3] [OPTIONS OF mlsbench run]

Prints the wall time of the whole command and a row for each job from its record. Prepared datasets must be there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time

from mlsbench.tasks import baseline_path

TASK = "security-membership-inference-defense"


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--protocol", default="paper")
    parser.add_argument("--seeds", type=int, default=3)
    options, further = parser.parse_known_args()
    seeds = [argument for i in range(options.seeds) for argument in ("--seed", str(42 + i))]
    submission = ["--submission", str(baseline_path(TASK, "erm")), "--protocol", options.protocol]
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "mlsbench", "run", TASK, *submission, *seeds, "--runs", runs, "--json"]
        started = time.monotonic()
        done = subprocess.run([*command, *further], stdout=subprocess.PIPE, text=True, check=False)
        seconds = time.monotonic() - started
    if not done.stdout:
        raise SystemExit(done.returncode)
    records = json.loads(done.stdout)["records"]
    first = records[0]
    print(f"{len(records)} jobs of {options.protocol} in {seconds:.0f} s; sandbox {first['setting']['sandbox']}, "
          f"{first['environment'].get('device')}, torch {first['setting']['torch']}\n")  # fmt: skip
    columns = ("job", "ended", "step", "images/s", "oracle", "train s", "evaluate s", "whole job s", "MiB")
    print(f"| {' | '.join((*columns, 'test_acc', 'mia_auc'))} |\n" + "|---" * 11 + "|")
    for record in records:
        training, timing, metrics = record["training"], record["timing"], record["metrics"]
        whole = timing.get("train", 0)
        numbers = (
            f"{training.get('images_per_second', 0):,.0f}", f"{timing.get('oracle', 0) / whole if whole else 0:.1%}",
            f"{whole:.1f}", f"{timing.get('evaluate', 0):.1f}", f"{timing.get('total', 0):.1f}",
            str(training.get("peak_mib", "–")),
            *("–" if metrics.get(m) is None else f"{metrics[m]:.3f}" for m in ("test_acc", "mia_auc")),
        )  # fmt: skip
        job = f"{record['setting']['benchmark']} {record['setting']['seed']}"
        print(f"| {job} | {record['status']} | {training.get('step', '–')} | {' | '.join(numbers)} |")


if __name__ == "__main__":
    main()
