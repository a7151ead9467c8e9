"""The attacks on models that leak visibly: trains a loss with few members and audits it, for docs/attacks.md.

    python benchmarks/attacks.py [--loss erm] [--seeds 8] [--members 2000] [--epochs 20] [--runs FOLDER]

ResNet-20 on CIFAR-10 without augmentation (protocol overfit, fewer epochs), on the CPU unless --device says otherwise.
Prints one table, the mean over seeds beside the paper's. The same command again continues. `--loss` is a baseline's
name or a file; `--benchmark resnet20-digits --protocol smoke --members 200` is for trying the script itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from mlsbench.tasks import baseline_path

TASK = "security-membership-inference-defense"
# Li, Li and Ribeiro 2021, table 2, CIFAR-10: advantages, means over five architectures, 10,000 members
PAPER = {
    "paper-baseline": 0.112, "paper-global-loss": 0.156, "paper-global-probability": 0.147,
    "paper-global-top-one": 0.113, "paper-global-top-three": 0.131, "paper-class-vector": 0.138,
    "paper-instance-vector": 0.111,
}  # fmt: skip


def main() -> None:
    """Train what is not trained, audit, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loss", default="erm")
    parser.add_argument("--seeds", type=int, default=8, help="from 42 on")
    parser.add_argument("--members", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--protocol", default="overfit")
    parser.add_argument("--benchmark", default="resnet20-cifar10")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    given = parser.parse_args()
    path = Path(given.loss) if Path(given.loss).is_file() else baseline_path(TASK, given.loss)
    common = ["--protocol", given.protocol, "--benchmark", given.benchmark, "--runs", str(given.runs)]
    for key in ("members", "epochs", "batch"):
        common += ["--override", f"{key}={getattr(given, key)}"]
    seeds = [part for i in range(given.seeds) for part in ("--seed", str(42 + i))]
    started = time.monotonic()
    trained = mlsbench("run", "--submission", str(path), "--name", path.stem, "--device", given.device, *seeds, *common)
    if trained.returncode:
        sys.exit(trained.returncode)
    middle = time.monotonic()
    done = mlsbench("audit", path.stem, "--json", *seeds, *common, output=subprocess.PIPE)
    if done.returncode:
        sys.exit(done.returncode)
    (audit,) = json.loads(done.stdout)
    print(f"{path.stem}, {given.benchmark}, {audit['protocol']}, {len(audit['seeds'])} seeds, {platform.machine()}, "
          f"load {os.getloadavg()[0]:.1f}; this call trained for {middle - started:.0f} s, audited for "
          f"{time.monotonic() - middle:.0f} s\n")  # fmt: skip
    table(audit)


def mlsbench(verb: str, *arguments: str, output: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line; what it prints of its own goes to standard error."""
    task = [sys.executable, "-m", "mlsbench", verb, TASK, *arguments]
    return subprocess.run(task, stdout=output or sys.stderr, text=True, check=False)


def table(audit: dict[str, Any]) -> None:
    """Print the means over seeds, and what was found."""
    seeds = audit["seeds"]
    for name in ("test_acc", "generalization_gap", "largest_advantage", "chance_mean", "chance_high", "audited_score"):
        print(f"- {name}: {fmean(seed[name] for seed in seeds):.3f}")
    found = {kind for seed in seeds for kind in seed["findings"]}
    print(f"- findings: {', '.join(sorted(found)) or 'none'}\n")
    print("| attack | fitted on | AUC | advantage | held out | own threshold | TPR at 1 % FPR | ε ≥ | paper |")
    print("|---|---|---|---|---|---|---|---|---|")
    names = list(dict.fromkeys(result["name"] for seed in seeds for result in seed["attacks"]))
    for name in names:
        results = [result for seed in seeds for result in seed["attacks"] if result["name"] == name]
        tpr = [r["tpr_at_1_percent_fpr"] and r["tpr_at_1_percent_fpr"]["value"] for r in results]
        cells = [
            mean([r["auc"]["value"] for r in results]), mean([r["advantage"] for r in results]),
            mean([r["held_out_advantage"] for r in results]), mean([r["decided_advantage"] for r in results]),
            mean(tpr), mean([r["epsilon_at_least"] for r in results]), mean([PAPER.get(name)]),
        ]  # fmt: skip
        print(f"| {name} | {results[0]['fitted']} | {' | '.join(cells)} |")


def mean(values: list[float | None]) -> str:
    """The mean of those that are known, as text."""
    known = [value for value in values if value is not None]
    return f"{fmean(known):.3f}" if known else "–"


if __name__ == "__main__":
    main()
