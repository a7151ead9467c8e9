"""A folder for agents of any other kind, and for people: what they may see, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlsbench import UserError
from mlsbench.agents.prompt import conditions, results, shown_variant
from mlsbench.harness.launch import chosen_of
from mlsbench.harness.variant import Variant
from mlsbench.tasks import TaskFolder, baseline_path


def lay_out(task: TaskFolder, chosen: Variant, benchmarks: Sequence[str], runs: Path, folder: Path) -> list[Path]:
    """Fill `folder`, which must be missing or empty, with the task; returns the files.

    INSTRUCTIONS.md is the task, what runs, how it is judged and the baselines' results; the template lies beside it,
    and the baselines in a folder of their own. Of hidden benchmarks nothing is there.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UserError(f"{folder} is there already and not an empty folder: name another")
    shown = shown_variant(task, chosen, chosen_of("benchmark", benchmarks, chosen.benchmarks))
    instructions = (
        f"{task.instruction().strip()}\n\n# This work\n\n{conditions(task, shown, shown.seeds, public=False)}\n\n"
        f"# Baselines\n\nTheir code is in `baselines/`. {results(task, shown, shown.seeds, runs)}\n"
    )
    files = {"INSTRUCTIONS.md": instructions, task.spec.contract.file: task.template()}
    for name in task.spec.baselines:
        path = baseline_path(task.spec.id, name)
        if path.is_file():
            files[f"baselines/{name}.py"] = path.read_text()
    written = []
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(path)
    return written
