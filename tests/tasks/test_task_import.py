"""Claim: tasks can be listed and submissions checked without loading torch or any other heavy library."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from mlsbench.tasks import baseline_path, get_task, list_tasks, read_submission
for name in list_tasks():
    task = get_task(name)
    for baseline, entry in task.spec.baselines.items():
        read_submission(baseline_path(name, entry.submission or baseline), task)
print(*sorted({module.partition(".")[0] for module in sys.modules}))
"""


def test_reading_tasks_and_submissions_loads_no_heavy_library() -> None:
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "pydantic" in loaded
    assert not loaded & {"torch", "numpy", "scipy", "sklearn", "rich", "typer", "docker"}
