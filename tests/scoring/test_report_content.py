"""The report's page says what the table says, and everything else that is known of an entry."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from report_contents import SEEDS, made_up

from mlsbench import UserError
from mlsbench.scoring import aggregate
from mlsbench.scoring.report.contents import Contents
from mlsbench.scoring.report.page import report_page
from mlsbench.scoring.rows import cell


class Outline(HTMLParser):
    """The elements of a page, and the texts of its table cells, headings and paragraphs."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.headings: list[int] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "script":
            self.scripts.append("")
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._open:
            self.scripts[-1] += data
        elif "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def contents() -> Contents:
    return made_up()


@pytest.fixture(scope="module")
def page(contents: Contents) -> str:
    return report_page(contents)


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


@pytest.fixture(scope="module")
def numbers(outline: Outline) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(outline.scripts[0])
    return data


def test_every_line_of_the_table_stands_there_with_the_tables_own_cells(contents: Contents, outline: Outline) -> None:
    for row in (row for group in contents.groups for row in group):
        rank = "–" if row.rank is None else str(row.rank)
        shown = row.type if row.n is None else contents.kind(row)
        cells = [cell(row, column) for column in contents.plan.columns]
        cells = [text if i == 2 else text.removesuffix(" (4/4)") for i, text in enumerate(cells)]
        assert [rank, row.name, shown, row.benchmark, *cells, row.status] in outline.rows


def test_controls_are_told_from_baselines_and_published_rows_from_measured_ones(outline: Outline) -> None:
    kinds = {row[1]: row[2] for row in outline.rows if len(row) == 9 and row[3] == "mean"}
    assert kinds == {
        "scaled_loss": "control", "early_stopping": "control", "mine": "agent", "erm": "published baseline"
    }  # fmt: skip
    assert ["erm", "baseline"] in [row[1:3] for row in outline.rows]


def test_an_agents_loss_of_a_controls_name_is_no_control() -> None:
    contents = made_up(["erm", "scaled_loss"], ["one"])
    assert [contents.kind(group[0]) for group in contents.groups if group[0].name == "scaled_loss"] == ["agent"]


def test_verdicts_come_with_their_reasons_and_missing_audits_say_why(contents: Contents) -> None:
    place = next(place for place in contents.audits if place[0].name == "erm")
    changed = replace(contents, audits={**contents.audits, place: "nothing is kept here"})
    rows = Outline(report_page(changed)).rows
    assert ["mine", "vgg16bn-cifar100", "failed 1/4", "seed 45: raised ValueError"] in rows
    assert ["erm", place[1], "not audited", "nothing is kept here"] in rows


def test_findings_of_an_audit_name_a_seed_and_how_many_have_them(contents: Contents) -> None:
    place, audit = next((p, a) for p, a in contents.audits.items() if not isinstance(a, str))
    flagged = audit.seeds[1].model_copy(update={"findings": {"inverted": "members are less confident"}})
    seeds = (audit.seeds[0], flagged, *audit.seeds[2:])
    found = {**contents.audits, place: audit.model_copy(update={"seeds": seeds})}
    rows = Outline(report_page(replace(contents, audits=found))).rows
    assert [place[0].name, place[1], "inverted 1/4", "seed 43: members are less confident"] in rows


def test_findings_of_records_are_the_tables(contents: Contents) -> None:
    texts = {"pinned": "an attacker who fits a model gets 0.9"}
    records = [record.model_copy(update={"findings": texts}) for record in contents.records]
    rows = Outline(report_page(replace(contents, results=aggregate(records, contents.plan)))).rows
    assert ["erm", "resnet20-cifar10", "pinned 4/4", f"seed 42: {texts['pinned']}"] in rows
    assert {row[8] for row in rows if len(row) == 9 and row[1] == "scaled_loss"} == {
        "scored; pinned 4/4", "scored; pinned 8/8"
    }  # fmt: skip


def test_what_is_drawn_are_the_audits_numbers(contents: Contents, numbers: dict[str, Any]) -> None:
    (erm,) = (entry for entry in numbers["entries"] if entry["name"] == "erm")
    place = next(place for place in contents.audits if place[0].name == "erm")
    seeds, part = contents.audited(*place), erm["benchmarks"][place[1]]
    assert part["advantage"] == pytest.approx(sum(s.largest_advantage for s in seeds) / 4, abs=1e-5)
    by_name = {attack["name"]: attack for attack in part["audit"]["attacks"]}
    true = [next(a for a in s.attacks if a.name == "true-label") for s in seeds]
    assert by_name["true-label"]["auc"][0] == pytest.approx(sum(a.auc.value for a in true) / 4, abs=1e-5)
    middle = sum(a.tprs[25] for a in true) / 4
    assert by_name["true-label"]["tprs"][25] == pytest.approx(middle, abs=1e-5)
    assert sum(part["audit"]["histogram"]["members"]) == pytest.approx(1, abs=1e-3)
    assert part["curves"]["42"]["test_acc"][-1] == pytest.approx(contents.curves[place][42]["test_acc"][-1], abs=1e-5)
    assert part["values"]["test_acc"] == pytest.approx(
        [r.metrics["test_acc"] for r in contents.records if r.entry.name == "erm" and r.setting.benchmark == place[1]],
        abs=1e-5,
    )


def test_seeds_that_are_not_planned_are_not_in_the_means(contents: Contents) -> None:
    fewer = made_up(["erm"], ["one"], seeds=SEEDS[:2])
    (place,) = fewer.audits
    more = replace(fewer, audits={place: next(iter(contents.audits.values()))})
    assert [seed.seed for seed in more.audited(*place)] == [42, 43]


def test_an_advantage_of_fewer_seeds_than_planned_is_not_drawn(contents: Contents) -> None:
    place, audit = next((p, a) for p, a in contents.audits.items() if not isinstance(a, str))
    fewer = {**contents.audits, place: audit.model_copy(update={"seeds": audit.seeds[:3]})}
    data = json.loads(Outline(report_page(replace(contents, audits=fewer))).scripts[0])
    (entry,) = (entry for entry in data["entries"] if entry["name"] == place[0].name)
    assert entry["benchmarks"][place[1]]["advantage"] is None


def test_what_is_not_drawn_is_said(contents: Contents) -> None:
    place, audit = next((p, a) for p, a in contents.audits.items() if not isinstance(a, str))
    fewer = {**contents.audits, place: audit.model_copy(update={"seeds": audit.seeds[:3]})}
    page = report_page(replace(contents, audits=fewer))
    assert f"Not drawn in {place[1]}: {place[0].name} (not audited with every seed; see mia_auc)." in page
    assert "Not drawn in vgg16bn-cifar100: mine (failed 1/4)." in page


def test_the_environment_names_versions_devices_keys_and_what_was_left_out(contents: Contents) -> None:
    page = report_page(replace(contents, left_out=["2 records left out: of protocol quick"]))
    rows = [row for row in Outline(page).rows if len(row) == 2]
    expected = {"torch": "2.6", "sandbox": "process", "device": "cpu", "split key (SHA-256)": "a" * 64, "runtime": "–"}
    assert expected.items() <= dict(map(tuple, rows)).items()
    assert "2 records left out: of protocol quick" in page


def test_headings_are_in_order_every_plot_has_words_and_every_table_a_caption(outline: Outline) -> None:
    assert outline.headings[:2] == [1, 2]
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    plots = [attributes for name, attributes in outline.elements if "data-plot" in attributes]
    assert len(plots) == 2 + 2 + 4 * 2 * 3
    assert all(len(plot["aria-label"] or "") > 20 for plot in plots)
    names = [name for name, _ in outline.elements]
    assert names.count("caption") == names.count("table")
    assert dict(outline.elements)["html"] == {"lang": "en"}


def test_curves_are_thinned_but_end_where_they_end() -> None:
    epochs = tuple(float(i) for i in range(300))
    contents = made_up(["erm"], ["one"])
    (place,) = contents.curves
    long = {"epoch": epochs, "test_acc": epochs, "member_acc": epochs, "mia_auc": (None, *epochs[1:])}
    data = json.loads(Outline(report_page(replace(contents, curves={place: {42: long}}))).scripts[0])
    drawn = data["entries"][0]["benchmarks"]["one"]["curves"]["42"]["epoch"]
    assert drawn[-1] == 299
    assert 100 <= len(drawn) <= 120


def test_sixty_entries_on_three_benchmarks_add_less_than_the_plotting_library(contents: Contents) -> None:
    many = made_up([f"entry {i}" for i in range(60)], ["one", "two", "three"])
    data = json.loads(Outline(report_page(many)).scripts[0])
    assert len(data["entries"]) == 60
    assert len(report_page(many)) < 10_000_000


def test_without_plotly_it_says_what_to_install(contents: Contents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(UserError, match=r"pip install 'mlsbench\[report\]'"):
        report_page(contents)


def test_a_table_without_entries_is_a_page_too(contents: Contents) -> None:
    empty = replace(contents, results=[], records=[], audits={}, curves={}, published=[])
    assert "no entries" in report_page(empty)
