"""Whether a plan continues whatever is killed: the same command again after each of many kills at random moments.

    python benchmarks/resume.py [--kills 200] [--jobs 40] [--engine local|ray] [--short] [--seed 0] [--json]

A plan of small jobs is started, something of it is killed within ten seconds, the same command is given again, and so
on until the plan is done; then the next plan begins. Killed are the command (by SIGINT, SIGTERM or SIGKILL), all its
processes, the process of one job, or with Ray the process of Ray's beside a job. A candidate's worker is not: whoever
ends it, it is the candidate that failed. After each kill of a command its processes must go, and no record that stood
may have changed; each plan must end with the table, the weights and the scores of an undisturbed run, each record once,
and no temporary file. `--short` takes short_job.py in place of training. The exit status is 1 if anything is wrong.
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
from collections import Counter
from pathlib import Path
from typing import Any

from kills import descendants

from mlsbench.tasks import get_task

TASK = get_task("security-membership-inference-defense")
MOST_SECONDS = {False: 10.0, True: 3.0}  # from a command's start to a kill; the latter for short jobs without Ray
SETTLING_SECONDS = 150  # processes of Ray's that were about to start give up after a minute
COMMAND, TREE, JOB, BESIDE = "command", "all processes", "a job", "Ray's worker of a job"
# What stands in for `mlsbench`, with the same commands and another process for each job.
SHORT = """
import functools, sys
import mlsbench.cli, mlsbench.harness.launch as launch, mlsbench.harness.ray_engine as ray_engine
command = [sys.executable, "-P", sys.argv.pop(1)]
launch.LocalEngine = functools.partial(launch.LocalEngine, command=command)
ray_engine.RayEngine = functools.partial(ray_engine.RayEngine, command=command)
sys.argv[0] = "mlsbench"
mlsbench.cli.main()
"""


def main() -> None:
    """Kill, continue, compare; print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of what is killed")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    # A short path, which those of Ray's sockets begin with.
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory(prefix="", dir="/tmp") as temporary:
        started = time.monotonic()
        first = Disturbed(Path(name) / "undisturbed", temporary, given, chance)
        right = first.end()
        length = time.monotonic() - started
        kills: list[dict[str, str]] = []
        plans = 0
        while len(kills) < given.kills:
            plans += 1
            plan = Disturbed(Path(name) / str(plans), temporary, given, chance)
            mine = plan.disturb(given.kills - len(kills))
            found = plan.end()
            wrong = [
                what if what == "files" else f"{what}: {found[what]}" for what in right if found[what] != right[what]
            ]
            kills += [{**kill, "wrong": ", ".join(filter(None, [kill["wrong"], *wrong]))} for kill in mine]
    report(given, kills, plans, length)
    raise SystemExit(1 if any(kill["wrong"] for kill in kills) else 0)


def report(given: argparse.Namespace, kills: list[dict[str, str]], plans: int, length: float) -> None:
    """What was killed how often, and what came of it."""
    if given.json:
        print(json.dumps({"seed": given.seed, "plans": plans, "seconds": length, "kills": kills}))
        return
    print(f"engine {given.engine}, seed {given.seed}: {len(kills)} kills over {plans} plans of {given.jobs} jobs")
    print(f"an undisturbed one takes {length:.0f} s\n")
    print("| killed | by | times | right in the end, nothing left |\n|---|---|---|---|")
    times = Counter((kill["target"], kill["signal"]) for kill in kills)
    right = Counter((kill["target"], kill["signal"]) for kill in kills if not kill["wrong"])
    for kind in sorted(times):
        print(f"| {kind[0]} | {kind[1]} | {times[kind]} | {right[kind]} |")
    for kill in kills:
        if kill["wrong"]:
            print(f"\nwrong: {kill}")


class Disturbed:
    """One plan and its command, which is given again and again."""

    def __init__(self, folder: Path, temporary: str, given: argparse.Namespace, chance: random.Random) -> None:
        self._folder, self._given, self._chance = folder, given, chance
        self._temporary = Path(temporary) / folder.name[:4]
        self._temporary.mkdir()
        self._records: dict[Path, bytes] = {}

    def disturb(self, most: int) -> list[dict[str, str]]:
        """Run the command and kill, until the plan is done or `most` kills are made."""
        kills: list[dict[str, str]] = []
        while len(kills) < most:
            with tempfile.TemporaryFile() as log:
                process = subprocess.Popen(
                    self._arguments(),
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    process_group=0,
                    preexec_fn=heed_interrupts,
                )
                if not self._hit(process, kills, most):
                    return kills
        return kills

    def _hit(self, process: subprocess.Popen[bytes], kills: list[dict[str, str]], most: int) -> bool:
        """Kill something of a running command again and again, until the command is gone; False if it ended itself."""
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self._chance.uniform(0, MOST_SECONDS[self._given.short and self._given.engine == "local"]))
                return False
            targets = [COMMAND, COMMAND, COMMAND, TREE, JOB, *([BESIDE] if self._given.engine == "ray" else [])]
            target = self._chance.choice(targets)
            number = self._chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
            tree = descendants(process.pid)
            wrong = ""
            if target in (COMMAND, TREE):
                number = signal.SIGKILL if target == TREE else number
                for one in [process.pid, *(tree if target == TREE else ())]:
                    kill(one, number)
                process.wait()
                wrong = self._look(tree)
            else:
                number = signal.SIGKILL
                jobs = [one for one in tree if is_job(one)]
                if not jobs:
                    continue
                one = self._chance.choice(jobs)
                kill(one if target == JOB else parent(one), number)
            kills.append({"target": target, "signal": number.name, "wrong": wrong})
            if target in (COMMAND, TREE):
                return True
            if len(kills) >= most:
                process.wait()
                return True

    def _look(self, tree: list[int]) -> str:
        """What is wrong after a command's end: processes that stay, records that are broken or have changed."""
        deadline = time.monotonic() + SETTLING_SECONDS
        while any(map(alive, tree)):
            if time.monotonic() > deadline:
                return f"processes stay: {[command_line(one) for one in tree if alive(one)]}"
            time.sleep(0.05)
        now = {path: path.read_bytes() for path in self._folder.rglob("record.json")}
        changed = [str(path) for path, record in self._records.items() if now.get(path) != record]
        self._records = now
        return f"records have changed: {changed}" if changed else ""

    def end(self) -> dict[str, Any]:
        """Run the command to its end: exit status, table, and the files that hold numbers; nothing else may be left."""
        done = subprocess.run(self._arguments(), env=self._environment(), capture_output=True, text=True, check=False)
        changed = self._look([])
        document = json.loads(done.stdout) if done.stdout else {"table": done.stderr, "records": []}
        folders = sorted(path.parent for path in self._folder.rglob("record.json"))
        left = [*self._folder.rglob("*.tmp"), *self._temporary.iterdir()]
        return {
            "status": done.returncode,
            "table": document["table"],
            "records": sorted(r["setting"]["seed"] for r in document["records"]),
            "folders": [f.name for f in folders],
            "files": [(f / name).read_bytes() for f in folders for name in ("weights.safetensors", "scores.npz")],
            # torch's own cache is one for all jobs of a user
            "left": [str(path) for path in left if not path.name.startswith("torchinductor")],
            "changed": changed,
        }

    def _environment(self) -> dict[str, str]:
        return os.environ | {"TMPDIR": str(self._temporary)}

    def _arguments(self) -> list[str]:
        short = [sys.executable, "-P", "-c", SHORT, str(Path(__file__).with_name("short_job.py"))]
        return [
            *(short if self._given.short else [sys.executable, "-P", "-m", "mlsbench"]),
            "run", TASK.spec.id, "--submission", str(TASK.path / TASK.spec.contract.file), "--protocol", "smoke",
            "--benchmark", "resnet20-digits", *(f"--seed={seed}" for seed in range(self._given.jobs)), "--sandbox",
            "process", "--device", "cpu", "--engine", self._given.engine, "--jobs", "2", "--override", "epochs=1",
            "--override", "members=64", "--override", "batch=16", "--runs", str(self._folder), "--json",
        ]  # fmt: skip


def kill(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return process


def is_job(process: int) -> bool:
    arguments = command_line(process)
    return "mlsbench.harness.job" in arguments or arguments[2:3] == [str(Path(__file__).with_name("short_job.py"))]


def command_line(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")[:-1]
    except OSError:
        return []  # gone


def heed_interrupts() -> None:
    """What a shell does for a command in the foreground; this one may run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
