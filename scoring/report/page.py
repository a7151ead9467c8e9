"""The page as a whole: the template, its style and scripts, and the policy that forbids everything else."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from string import Template

from mlsbench import UserError
from mlsbench.scoring.report.contents import Contents
from mlsbench.scoring.report.entries import entries_section
from mlsbench.scoring.report.environment import environment_section
from mlsbench.scoring.report.markup import Html, join
from mlsbench.scoring.report.numbers import embedded, page_data
from mlsbench.scoring.report.sections import leakage_section, results_section, seeds_section, verdicts_section

SCRIPTS = ("table.js", "figures.js", "entries.js", "page.js")


def report_page(contents: Contents) -> str:
    """The page. It loads nothing and asks nobody. UserError if plotly, whose script it carries, is missing."""
    library, own = plotting_library(), "\n".join(_read(name) for name in SCRIPTS)
    sections = (
        results_section(contents), leakage_section(contents), seeds_section(contents), verdicts_section(contents),
        entries_section(contents), environment_section(contents),
    )  # fmt: skip
    return Template(_read("page.html")).substitute(
        policy=_policy(library, own),
        title=join([contents.title]),
        caption=join([contents.caption]),
        style=_read("style.css"),
        sections=join(sections),
        data=embedded(page_data(contents)),
        library=library,
        script=own,
    )


def plotting_library() -> Html:
    """The text of plotly.js. UserError, saying what to install, if plotly is missing."""
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError:
        raise UserError("a report needs plotly: pip install 'mlsbench[report]'") from None
    return Html(get_plotlyjs())


def _policy(*scripts: str) -> Html:
    """No request, and no script but these; plotly sets styles of elements."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return Html(
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    return (files("mlsbench.scoring.report") / name).read_text(encoding="utf-8")
