"""Writes docs/threat-model.md out of tests/threats.toml and what tests/exploits say: `python tests/threat_model.py`."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
EXPLOITS = ROOT / "tests" / "exploits"
DOCUMENT = ROOT / "docs" / "threat-model.md"
BACKENDS = ("process", "bubblewrap", "docker")
COMMAND = "python tests/threat_model.py"

INTRODUCTION = f"""<!-- Written by `{COMMAND}`; edit tests/threats.toml and tests/exploits instead. -->
# What a candidate may try, and what stops it

A candidate is code that nobody has read, written by something that is rewarded for a number.
[isolation.md](isolation.md) says how it is run. Here stands what it is known to try. Each file is run for real by
[test_exploits.py](../tests/sandbox/test_exploits.py), in every backend whose walls play a part, or, where it needs a
whole job, by [test_job_exploits.py](../tests/harness/test_job_exploits.py); what has no file names its tests. Under the
contracts of the other tasks they are run by
[test_exploits_by_contract.py](../tests/sandbox/test_exploits_by_contract.py). Seen on import or in the probe a
candidate is `rejected`, seen in training `failed`. Whoever finds a new trick adds a file.

`process` has the walls of the column *held by*; the other backends have these, and add theirs. *Nothing has to* means
that it is legal, or a control. That a wall is the one that holds is tested where that does no harm: with the wall left
out the technique gets through ([test_walls.py](../tests/sandbox/test_walls.py)).
"""


@dataclass(frozen=True)
class Exploit:
    """A file of tests/exploits: what it does, how it must end, and what stops it."""

    name: str
    does: str
    ends: str
    stopped_by: tuple[str, ...]


def exploit(path: Path) -> Exploit:
    """What a file says about itself, read and not run. Raises KeyError if ENDS or STOPPED_BY is missing."""
    tree = ast.parse(path.read_text())
    said = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    ends, stopped_by = ast.literal_eval(said["ENDS"]), ast.literal_eval(said["STOPPED_BY"])
    return Exploit(path.stem, ast.get_docstring(tree) or "", str(ends), tuple(stopped_by))


def exploits() -> dict[str, Exploit]:
    """All files of tests/exploits by name."""
    return {path.stem: exploit(path) for path in sorted(EXPLOITS.glob("*.py"))}


def threats() -> dict[str, Any]:
    """tests/threats.toml: walls, rows, and what is left."""
    return tomllib.loads((ROOT / "tests" / "threats.toml").read_text())


def backends_of(wall: dict[str, Any]) -> tuple[str, ...]:
    """The backends that have a wall: all, unless it says otherwise."""
    return tuple(wall.get("backends", BACKENDS))


def verdict(ends: str) -> str:
    """An exploit's constant ENDS in the words of a record."""
    fixed = {
        "answers": "no effect",
        "found nothing": "finds nothing",
        "job zero gradients": "`scored`; zero gradients are counted",
    }
    if ends in fixed:
        return fixed[ends]
    stage, _, said = ends.partition(": ")
    if stage.startswith("job "):
        state = stage.removeprefix("job ")
        said = said.removeprefix(f"{state}: ").removeprefix(f"{state} ")
        status = f"`{state}`" if said or state == "scored" else state
    else:
        status = "`rejected`" if stage in ("load", "call 0") else "`failed`"
    return status + (f": {cell(began(said))}" if said else "")


def began(text: str) -> str:
    """`text`, which may be the beginning of something longer, with an ellipsis where that shows."""
    whole = text.rstrip("( ")
    return whole if whole == text else f"{whole} …"


def cell(text: str) -> str:
    """`text` on one printable line of a Markdown table."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return clean.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def link(test: str) -> str:
    """A link to the file of a test that stands as path::name."""
    path, _, name = test.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{path})"


def held(walls: tuple[str, ...], known: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """Three cells: what holds in every backend, and what bubblewrap and docker add."""
    common = [name for name in walls if backends_of(known[name]) == BACKENDS]
    added = [
        [name for name in walls if name not in common and backend in backends_of(known[name])]
        for backend in BACKENDS[1:]
    ]
    return ", ".join(common) or "nothing has to", *(", ".join(names) or "–" for names in added)


def document() -> str:
    """The whole document."""
    given, files = threats(), exploits()
    known = {wall["name"]: wall for wall in given["wall"]}
    parts = [INTRODUCTION, "## Walls\n"]
    walls = [
        (
            f"**{name}**",
            cell(wall["does"]),
            *("yes" if backend in backends_of(wall) else "–" for backend in BACKENDS),
            "; ".join(map(link, wall["shown"])) or "–",
        )
        for name, wall in known.items()
    ]
    parts += [table(("wall", "what it does", *BACKENDS, "shown by"), walls), "\n## Techniques"]
    head = ("the candidate", "must end as", "held by", "bubblewrap adds", "docker adds", "tried by")
    for row in given["row"]:
        rows = []
        for one in (files[name] for name in row.get("exploits", ())):
            file = f"[{one.name}.py](../tests/exploits/{one.name}.py)"
            rows.append((cell(one.does), verdict(one.ends), *held(one.stopped_by, known), file))
        for other in row.get("elsewhere", ()):
            tests = "; ".join(map(link, other["tests"]))
            rows.append((cell(other["does"]), other["ends"], *held(tuple(other["walls"]), known), tests))
        parts += [f"\n### {row['title']}\n", table(head, rows)]
    parts.append("\n## Not defended against")
    for left in given["left"]:
        parts += [f"\n**{left['where'][0].upper()}{left['where'][1:]}**\n", *(f"- {what}" for what in left["what"])]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
