"""The generalization gap g against the largest advantage v of all trained models of a runs folder, as one picture.

    python benchmarks/gap.py RUNS [RUNS ...] -o docs/gap.png

Audits every entry below the folders, then draws a mark a model. v is the largest advantage of the attacks that need
no other model, each with its threshold chosen on one half of the examples and used on the other; a second mark, open,
where an attack with references reaches further. The lines are g/2 ≤ v ≤ g, what Li, Li and Ribeiro 2021 saw (figure 4):
a regularity with exceptions, which are counted and listed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

from mlsbench.scoring.audit_document import AUDIT_FILE, Audit, SeedAudit
from mlsbench.tasks import get_task

SIDE = 900


class Mark(NamedTuple):
    """A model: where it stands, and the chance level of the largest of so many advantages."""

    label: str
    gap: float
    alone: float
    referenced: float
    chance: float

    @property
    def exception(self) -> str:
        """Which side of the regularity it is beyond, by more than chance gives; "" within it."""
        if self.alone < self.gap / 2 - self.chance:
            return "below g/2"
        return "above g" if self.alone > self.gap + self.chance else ""


def main() -> None:
    """Audit, print counts and exceptions, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    for runs in given.runs:
        for protocol in sorted(p for p in runs.glob("*/*") if p.is_dir() and get_task(p.parent.name).spec.audited):
            command = [sys.executable, "-m", "mlsbench", "audit", protocol.parent.name, "--protocol", protocol.name]
            subprocess.run([*command, "--runs", str(runs)], check=False, stdout=subprocess.DEVNULL)
    files = sorted(file for runs in given.runs for file in runs.rglob(AUDIT_FILE))
    marks = [mark for file in files for mark in _marks(Audit.model_validate_json(file.read_bytes()))]
    beyond = [mark for mark in marks if mark.exception]
    print(f"{len(marks)} models; {len(beyond)} beyond g/2 ≤ v ≤ g by more than chance:")
    for mark in beyond:
        print(f"- {mark.label}: g {mark.gap:.3f}, v {mark.alone:.3f}, {mark.exception}")
    _draw(marks, given.output)


def _marks(audit: Audit) -> Iterable[Mark]:
    for seed in audit.seeds:
        alone = _largest(seed, references=False)
        label = f"{audit.entry.name}, {audit.benchmark}, {audit.protocol}, seed {seed.seed}"
        referenced = max(alone, _largest(seed, references=True))
        yield Mark(label, seed.generalization_gap, alone, referenced, seed.chance_high)


def _largest(seed: SeedAudit, *, references: bool) -> float:
    panels = ("paper", "references") if references else ("audit-1",)
    found = [attack.held_out_advantage for attack in seed.attacks if attack.panel in panels]
    return max((value for value in found if value is not None), default=0.0)


def _draw(marks: list[Mark], output: Path) -> None:
    most = max(max(mark.gap, mark.referenced) for mark in marks) * 1.05
    figure = go.Figure(layout={"template": "plotly_white", "width": SIDE, "height": SIDE, "font": {"size": 16}})
    for factor, name in ((1.0, "v = g"), (0.5, "v = g/2")):
        figure.add_scatter(x=[0, most], y=[0, most * factor], mode="lines", name=name, line={"dash": "dot"})
    further = [mark for mark in marks if mark.referenced > mark.alone]
    figure.add_scatter(
        x=[m.gap for m in further], y=[m.referenced for m in further], mode="markers", name="v with references",
        marker={"symbol": "circle-open", "size": 9, "color": "#888"},
    )  # fmt: skip
    for kind, color in (("", "#1f77b4"), ("above g", "#d62728"), ("below g/2", "#ff7f0e")):
        chosen = [mark for mark in marks if mark.exception == kind]
        figure.add_scatter(
            x=[m.gap for m in chosen], y=[m.alone for m in chosen], mode="markers", name=f"v {kind or 'between'}",
            marker={"size": 9, "color": color},
        )  # fmt: skip
    figure.update_xaxes(title="generalization gap g", range=[min(0, *(m.gap for m in marks)), most])
    figure.update_yaxes(title="largest advantage v", range=[0, most])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "gap.html"
        figure.write_html(page_file, include_plotlyjs=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIDE, "height": SIDE})
        page.goto(page_file.as_uri())
        page.wait_for_selector(".main-svg .point")
        page.screenshot(path=output)
        browser.close()


if __name__ == "__main__":
    main()
