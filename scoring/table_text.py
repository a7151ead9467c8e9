"""The results table for documents: Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlsbench.scoring.rows import Row, Sheet, cell, heading
from mlsbench.scoring.text import clean

_REASON_LIMIT = 120
_HEAD = ("rank", "name", "type", "benchmark")


def markdown_table(sheet: Sheet) -> str:
    """A GitHub Markdown table, best values bold."""
    columns = sheet.plan.columns
    titles = [*_HEAD, *(heading(column) for column in columns), "status"]
    rules = ["--:", ":--", ":--", ":--", *("--:" for _ in columns), ":--"]
    lines = [escape_markdown(sheet.caption), ""] if sheet.caption else []
    lines += [markdown_line([escape_markdown(title) for title in titles]), markdown_line(rules)]
    for row in (row for group in sheet.groups for row in group):
        texts = [escape_markdown(text) for text in _texts(row)]
        cells = [(escape_markdown(cell(row, column)), column.name in row.best) for column in columns]
        status = escape_markdown(clean(row.status_and_reason, _REASON_LIMIT))
        lines.append(markdown_line([*texts, *(f"**{text}**" if best else text for text, best in cells), status]))
    notes = [f"- {escape_markdown(line)}" for line in (*sheet.notes, *sheet.left_out)]
    return "\n".join([*lines, "", escape_markdown(f"Cells: {sheet.legend}."), *([""] if notes else []), *notes]) + "\n"


def latex_table(sheet: Sheet) -> str:
    """A LaTeX table environment; needs the package booktabs. Best values are in textbf."""
    columns = sheet.plan.columns
    titles = [*_HEAD, *(heading(column) for column in columns), "status"]
    lines = [r"\begin{table}", r"\centering\small", rf"\begin{{tabular}}{{rlll{'r' * len(columns)}l}}", r"\toprule"]
    lines.append(_latex_line([_escape_latex(title) for title in titles]))
    for group in sheet.groups:
        lines.append(r"\midrule")
        for row in group:
            texts = [_escape_latex(text) for text in _texts(row)]
            cells = [(_escape_latex(cell(row, column)), column.name in row.best) for column in columns]
            status = _escape_latex(clean(row.status_and_reason, _REASON_LIMIT))
            lines.append(
                _latex_line([*texts, *(rf"\textbf{{{text}}}" if best else text for text, best in cells), status])
            )
    lines += [r"\bottomrule", r"\end{tabular}"]
    sentences = [sheet.caption, f"Cells: {sheet.legend}", *sheet.notes, *sheet.left_out]
    caption = " ".join(f"{_escape_latex(text.rstrip('.'))}." for text in sentences if text)
    return "\n".join([*lines, rf"\caption{{{caption}}}", r"\end{table}"]) + "\n"


def _texts(row: Row) -> tuple[str, str, str, str]:
    return "–" if row.rank is None else str(row.rank), row.name, row.type, row.benchmark


def markdown_line(cells: Sequence[str]) -> str:
    """A line of a table from escaped cells."""
    return f"| {' | '.join(cells)} |"


def _latex_line(cells: list[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def escape_markdown(text: str) -> str:
    """`text` as plain text in Markdown: no markup, mention or link."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_{}\[\]|~#!$])", r"\\\1", text)
    text = text.replace("@", "&#64;").replace("://", r"\://")  # neither mentions nor links
    return re.sub(r"(?i)\b(www)\.", r"\1\\.", text)


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": "--",
    "…": r"\ldots{}",
    "\ufffd": "?",
}


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
