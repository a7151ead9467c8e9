"""Names and reasons are data in every format: never markup, a formula, a command or an escape sequence."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from mlsbench.scoring import Plan, Record, aggregate, clean, render

HOSTILE = {
    "path": "../x",
    "html": "<script>alert(1)</script><img src=x onerror=y>",
    "formula": "=cmd()",
    "plus": "+1+1",
    "minus": "-1",
    "at": "@SUM(A1)",
    "full width": "＝cmd()",
    "tab": "\t=cmd()",
    "rich markup": "[red]x[/red][link=http://x]y[/link]",
    "latex": r"\input{x} \end{tabular} $x$ %c & #1 ^^5cinput ~_",
    "markdown": "a|b `c` *d* _e_ [f](http://x) ![g](h) # \\| ~s~ www.x.org &lt;",
    "quotes": 'a"b",\'c\nd\r"',
    "long": "x" * 10_000,
    "control": "a\x00b\x07c\x08d\x7fe",
    "escape": "\x1b[2J\x1b]0;title\x07\x9b31mz",
    "right to left": "abc\u202egpj\u2066x",
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())


@pytest.fixture
def table(make_record: Callable[..., Record], plan: Plan) -> Callable[[str, Any], str]:
    """The table in a format, with a text as name, reason, caption and left-out line."""

    def make(text: str, format: Any) -> str:
        records = [make_record(name=text, seed=seed, benchmark=b) for b in plan.benchmarks for seed in (42,)]
        records += [make_record(name=text, seed=43, benchmark=b, status="failed", reason=text) for b in plan.benchmarks]
        out = render(aggregate(records, plan), plan, format, left_out=[text], caption=text)
        if isinstance(out, str):
            return out
        console = Console(width=100, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        console.print(out)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    return make


@hostile
@pytest.mark.parametrize("format", ["md", "csv", "latex", "json"])
def test_a_text_format_is_printable_lines_whatever_the_name(
    table: Callable[[str, Any], str], text: str, format: Any
) -> None:
    out = table(text, format)
    assert all(line.isprintable() for line in out.split("\n"))
    assert len(out) < 20_000


@hostile
def test_the_terminal_gets_no_escape_sequence_but_the_tables_own_colours(
    table: Callable[[str, Any], str], text: str
) -> None:
    out = re.sub(r"\x1b\[[0-9;]*m", "", table(text, "rich"))
    assert all(line.isprintable() for line in out.split("\n"))
    assert "\x1b[2J" not in table(text, "rich")


def test_the_terminal_shows_markup_as_it_is_written(table: Callable[[str, Any], str]) -> None:
    out = table(HOSTILE["rich markup"], "rich")
    assert "[red]x[/red][link=http://x]y[/link]" in out
    assert "\x1b]8;" not in out


@hostile
def test_a_markdown_line_has_always_the_same_number_of_cells(table: Callable[[str, Any], str], text: str) -> None:
    lines = [line for line in table(text, "md").splitlines() if line.startswith("| ")]
    unescaped = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines]
    assert set(unescaped) == {8}
    assert len(lines) == 2 + 3


def test_markdown_holds_no_html_link_or_emphasis_of_a_name(table: Callable[[str, Any], str]) -> None:
    html, marks = table(HOSTILE["html"], "md"), table(HOSTILE["markdown"], "md")
    assert "<" not in html
    assert "&lt;script&gt;" in html
    assert r"a\|b \`c\` \*d\* \_e\_ \[f\](http\://x) \!\[g\](h) \# \\\| \~s\~ www\.x.org &amp;lt;" in marks


def test_markdown_mentions_nobody(table: Callable[[str, Any], str]) -> None:
    assert "@" not in table("@everyone", "md")


@pytest.mark.parametrize("kind", ["formula", "plus", "minus", "at", "full width", "tab"])
def test_csv_neutralises_what_a_spreadsheet_would_compute(table: Callable[[str, Any], str], kind: str) -> None:
    rows = list(csv.DictReader(io.StringIO(table(HOSTILE[kind], "csv"))))
    assert {row["name"] for row in rows} == {"'" + HOSTILE[kind].strip()}


@hostile
def test_no_cell_of_csv_begins_like_a_formula_and_no_line_breaks(table: Callable[[str, Any], str], text: str) -> None:
    rows = list(csv.reader(io.StringIO(table(text, "csv"))))
    assert {len(row) for row in rows} == {15}
    assert len(rows) == 4
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)


@hostile
def test_json_gives_the_cleaned_name_back(table: Callable[[str, Any], str], text: str) -> None:
    rows = json.loads(table(text, "json"))["rows"]
    assert {row["name"] for row in rows} == {clean(text, 200)}


def test_latex_holds_no_command_of_a_name(table: Callable[[str, Any], str]) -> None:
    out = table(HOSTILE["latex"], "latex")
    shown = (
        r"\textbackslash{}input\{x\} \textbackslash{}end\{tabular\} \$x\$ \%c \& \#1 "
        r"\textasciicircum{}\textasciicircum{}5cinput \textasciitilde{}\_"
    )
    assert out.count(shown) == 7
    assert r"\input" not in out
    assert out.count(r"\end{tabular}") == 1


@hostile
def test_latex_commands_are_only_those_of_the_table(table: Callable[[str, Any], str], text: str) -> None:
    own = {"begin", "end", "centering", "small", "toprule", "midrule", "bottomrule", "caption", "pm", "ldots"}
    own |= {"uparrow", "downarrow", "textbf", "textbackslash", "textasciicircum", "textasciitilde"}
    own |= {"textless", "textgreater", "textbar"}
    out = table(text, "latex")
    assert set(re.findall(r"\\([A-Za-z]+)", out)) <= own
    lines = [line for line in out.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {6}


@hostile
@pytest.mark.parametrize("format", ["md", "csv", "latex", "json"])
def test_a_published_name_is_data_too(plan: Plan, text: str, format: Any) -> None:
    row = SimpleNamespace(row=1, name=text, type=text, benchmark="one", metrics={}, status=text)
    out = str(render([], plan, format, published=[row]))
    assert all(line.isprintable() for line in out.split("\n"))
    assert len(out) < 5000
