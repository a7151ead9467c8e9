"""Every benchmark of training, one after the other, within ten minutes of one GPU: what docs/benchmarks.md is made of.

    python benchmarks/all.py [--device auto] [--brief]

Each table is printed as soon as it is there; one that fails says so, and the next one begins. `--brief` is for trying
the script itself: the smallest amounts that go through every line.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

from mlsbench.harness.device import devices

BENCHMARKS = ("resnet20-cifar10", "vgg16bn-cifar100", "mobilenetv2-fmnist")


def main() -> None:
    """Run all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--brief", action="store_true")
    options = parser.parse_args()
    device = devices(options.device)[0]
    cuda = device.startswith("cuda")
    print(
        f"# {torch.cuda.get_device_name() if cuda else 'CPU'}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}"
    )
    amount = ["--batches", "3", "--rounds", "1"] if options.brief else ["--batches", "200" if cuda else "8"]
    seconds, seeds = ("2", "2") if options.brief else ("6" if cuda else "10", "6")
    jobs = ["1", "2"] if options.brief or not cuda else ["1", "2", "4", "8", "16"]
    commands = [["oracle.py", "--calls", "30" if options.brief else "1000"]]
    for benchmark in BENCHMARKS:
        commands.append(["trainer.py", "--benchmark", benchmark, *amount])
        commands.append(["packing.py", "--benchmark", benchmark, "--seconds", seconds, "--jobs", *jobs])
    commands += [
        ["agreement.py", what, "--seeds", seeds] for what in ("precision", *(["graphs"] if cuda else []), "packed")
    ]
    commands.append(["runs.py", "--protocol", "smoke" if options.brief or not cuda else "paper"])
    if options.brief:
        commands[-1] += ["--seeds", "1", "--override", "epochs=1", "--override", "members=64"]
    for script, *arguments in commands:
        print(f"\n## {script} {' '.join(arguments)}\n", flush=True)
        given = [] if script == "oracle.py" else ["--device", options.device]
        started = time.monotonic()
        done = subprocess.run([sys.executable, Path(__file__).with_name(script), *arguments, *given], check=False)
        print(f"\n({time.monotonic() - started:.0f} s, exit status {done.returncode})", flush=True)


if __name__ == "__main__":
    main()
