"""What a command leaves that is killed at any moment: one of two jobs in containers is, and run again, many times over.

    python benchmarks/kills.py [--times 100] [--trees 10] [--seed 0] [--json]

The moments are uniform over the length of an undisturbed run. SIGKILL hits the command alone, or with --trees in that
many further trials all its processes at once. Nothing is cleaned up between a kill and the same command's next run. It
must end with the table, the weights and the scores of the undisturbed run, each record once, and leave no container and
no folder of channels. The exit status is 1 if it does not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mlsbench.sandbox.container import FOLDER_PREFIX, OWNER
from mlsbench.sandbox.engine import connect
from mlsbench.tasks import get_task

COMMAND = str(Path(sys.executable).with_name("mlsbench"))
TASK = get_task("security-membership-inference-defense")
OPTIONS = (
    "--protocol", "smoke", "--benchmark", "resnet20-digits", "--seed", "42", "--seed", "43", "--jobs", "2", "--sandbox",
    "docker", "--device", "cpu", "--override", "epochs=4", "--override", "members=64", "--override", "batch=16",
)  # fmt: skip
SETTLING_SECONDS = 60  # for what a killed command's helpers still do


def main() -> None:
    """Kill, run again, compare; print one line a kill."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--times", type=int, default=100, help="kills of the command alone")
    options.add_argument("--trees", type=int, default=10, help="kills of the command and all its processes")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    options.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    given = options.parse_args()
    moments = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        right = again(folder / "undisturbed")
        length = time.monotonic() - started
        if not given.json:
            print(f"seed {given.seed}; an undisturbed run takes {length:.1f} s\n")
            print("| | s | killed | while | second run |\n|---|---|---|---|---|")
        found = []
        for number in range(given.times + given.trees):
            one = trial(folder / str(number), moments.uniform(0, length), number >= given.times, right)
            found.append(one)
            if not given.json:
                print(f"| {number + 1} | {' | '.join(one.values())} |", flush=True)
    wrong = [one for one in found if one["outcome"] != "right"]
    if given.json:
        print(json.dumps({"seed": given.seed, "seconds": length, "kills": found}))
    else:
        print(f"\n{len(found)} kills, {len(wrong)} with a wrong end")
    raise SystemExit(1 if wrong else 0)


def arguments(folder: Path) -> list[str]:
    """The command, with records below `folder`."""
    submission = str(TASK.path / TASK.spec.contract.file)
    return [COMMAND, "run", TASK.spec.id, "--submission", submission, *OPTIONS, "--runs", str(folder), "--json"]


def again(folder: Path) -> dict[str, Any]:
    """Run the command to its end; exit status, table, metrics, and the files that hold numbers."""
    done = subprocess.run(arguments(folder), capture_output=True, text=True, check=False)
    document = json.loads(done.stdout) if done.stdout else {"table": done.stderr, "records": []}
    jobs = {path.parent.name: path.parent for path in sorted(folder.rglob("record.json"))}
    return {
        "status": done.returncode,
        "table": document["table"],
        "metrics": [r["metrics"] for r in document["records"]],
        "records": sorted(jobs),
        "files": [(p / name).read_bytes() for p in jobs.values() for name in ("weights.safetensors", "scores.npz")],
    }


def trial(folder: Path, moment: float, tree: bool, right: dict[str, Any]) -> dict[str, str]:
    """Kill a run `moment` seconds after its start, run it again and compare what stands then with what is right."""
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments(folder / "runs"), stdout=subprocess.DEVNULL, stderr=log)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    during = phase((folder / "log").read_text(), process)
    for one in [process.pid, *(descendants(process.pid) if tree else ())]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    process.wait()
    found = again(folder / "runs")
    wrong = [name for name in right if found[name] != right[name]]
    outcome = f"wrong: {', '.join(wrong)}" if wrong else "right"
    if left := what_is_left():
        outcome += f", left: {', '.join(left)}"
    killed = "all processes" if tree else "command"
    return {"moment": f"{moment:.2f}", "killed": killed, "phase": during, "outcome": outcome}


def phase(log: str, process: subprocess.Popen[bytes]) -> str:
    """How far a run has come, by what it has written and whether it has containers."""
    finished = log.count("\n[") + log.startswith("[")
    if process.poll() is not None:
        return "over"
    if finished:
        return "a job has ended" if finished == 1 else "both jobs have ended"
    if "epoch 4/4" in log:
        return "attack"
    if "epoch" in log:
        return "training"
    return "start of containers" if ours() else "start of the command"


def ours() -> list[str]:
    """Containers with our label, whoever made them."""
    return [one["Id"] for one in connect().api.containers(all=True, filters={"label": OWNER})]


def what_is_left() -> list[str]:
    """Containers and folders that stay though every process of a trial is gone."""
    deadline = time.monotonic() + SETTLING_SECONDS
    while left := [*ours(), *map(str, Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}{os.getuid()}.*"))]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.1)
    return []


def descendants(root: int) -> list[int]:
    """All processes that come from `root`."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # gone
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [root]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


if __name__ == "__main__":
    main()
