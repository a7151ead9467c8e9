"""RelaxLoss with other levels α, each an ordinary submission, graded as one plan: the evidence to choose α by.

    python benchmarks/alphas.py FOLDER 0.25 0.5 1.0 [-- --protocol quick --benchmark resnet20-cifar10 …]

writes FOLDER/alpha-<α>.py and FOLDER/list.jsonl and runs `mlsbench grade` on them with what stands behind the dashes. A
loss knows the number of classes and not the architecture, so it has one α for all benchmarks of ten classes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from mlsbench.tasks import baseline_path

TASK = "security-membership-inference-defense"


def main() -> None:
    """Write the submissions and their list, and grade them; exits as `mlsbench grade` does."""
    own, _, passed_on = " ".join(sys.argv[1:]).partition(" -- ")
    name, *alphas = own.split()
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    text = baseline_path(TASK, "relaxloss").read_text()
    lines = []
    for alpha in alphas:
        changed, count = re.subn(r"self\.alpha = \{10: [0-9.]+, 100: [0-9.]+\}",
                                 f"self.alpha = {{10: {float(alpha)}, 100: {float(alpha)}}}", text)  # fmt: skip
        assert count == 1
        (folder / f"alpha-{alpha}.py").write_text(changed)
        lines.append(json.dumps({"task": TASK, "submission": f"alpha-{alpha}.py", "name": f"RelaxLoss, α = {alpha}"}))
    (folder / "list.jsonl").write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "mlsbench", "grade", "--submission", folder / "list.jsonl", "--output-dir", folder]
    raise SystemExit(subprocess.run([*command, *passed_on.split()], check=False).returncode)


if __name__ == "__main__":
    main()
