"""Names, reasons and findings on the page are data: no markup, no script, no end of the JSON that they stand in."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from report_contents import made_up

from mlsbench.scoring import clean
from mlsbench.scoring.report.markup import Html, join, tag
from mlsbench.scoring.report.numbers import embedded
from mlsbench.scoring.report.page import plotting_library, report_page

HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "end of script": "</script><script>alert(1)</script>",
    "comment": "<!-- <script> -->]]>",
    "attribute": '" onmouseover="alert(1)" x=\'y\' `z`',
    "plotly": '<a href="javascript:alert(1)">x</a><b>y</b> %{customdata[1]} $\\alpha$',
    "formula": "=cmd()",
    "template": "$library ${script} $$",
    "entities": "&lt;b&gt; &amp; &#60;",
    "separators": "a\u2028b\u2029c",
    "control": "a\x00b\x07c\x08d\x7fe",
    "escape": "\x1b[2J\x1b]0;title\x07\x9b31mz",
    "right to left": "abc\u202egpj\u2066x",
    "long": "x" * 10_000,
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.targets: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names += [tag] if tag != "wbr" else []  # a place where a name may be broken
        self.attributes |= {name for name, _ in attrs}
        self.targets |= {value or "" for name, value in attrs if name in ("href", "src")}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def elements(name: str) -> Elements:
    contents = made_up(["erm", name], ["one"], reason=name)
    place, audit = next((p, a) for p, a in contents.audits.items() if not isinstance(a, str))
    flagged = audit.model_copy(update={"seeds": (audit.seeds[0].model_copy(update={"findings": {name: name}}),)})
    page = report_page(
        replace(
            contents, audits={**contents.audits, place: flagged}, left_out=[name], title=name, caption=name,
            versions={name: name},
        )
    )  # fmt: skip
    return Elements(page.replace(plotting_library(), ""))


@hostile
def test_a_hostile_text_adds_no_element_attribute_or_target(text: str) -> None:
    harmless, found = elements("harmless"), elements(text)
    assert sorted(found.names) == sorted(harmless.names)
    assert found.attributes == harmless.attributes
    assert not any(name.startswith("on") or name == "style" for name in found.attributes)
    assert all(re.fullmatch("#[a-z0-9-]+", target) for target in found.targets)


@hostile
def test_a_hostile_name_is_shown_as_it_is_once_cleaned(text: str) -> None:
    found = elements(text)
    assert clean(text, 200) in found.texts
    data = json.loads(next(t for t in found.texts if t.startswith('{"benchmarks"')))
    assert clean(text, 200) in [entry["name"] for entry in data["entries"]]


@hostile
def test_embedded_data_are_ascii_without_a_character_that_html_knows(text: str) -> None:
    made = embedded({text: [text]})
    assert json.loads(made) == {text: [text]}
    assert made.isascii()
    assert not set("<>&") & set(made)


def test_only_what_was_made_here_is_markup() -> None:
    assert tag("p", "<b>", Html("<i></i>"), title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<i></i></p>'
    assert join(["a & b", tag("input", checked=True, hidden=False, id=None)]) == "a &amp; b<input checked>"


def test_the_policy_allows_the_pages_two_scripts_and_nothing_else() -> None:
    page = report_page(made_up(["erm"], ["one"]))
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    assert len(digests) == 2
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert policy[1] == (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert page.index(policy[0]) < page.index("<script")
