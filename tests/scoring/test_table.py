"""Every format of the table shows means with their denominators, losses with their reasons, and what is best."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from mlsbench import UserError
from mlsbench.scoring import Plan, Record, aggregate, render

GOOD = [[0.8, 0.9], [0.6, 0.7]]
BETTER = [[0.85, 0.95], [0.65, 0.75]]
FORMATS = ["rich", "md", "csv", "latex", "json"]


@dataclass(frozen=True)
class Line:
    """A published line."""

    row: int
    name: str
    type: str
    benchmark: str
    metrics: dict[str, float | None] = field(default_factory=dict)
    status: str = "scored"


def text(table: object, width: int = 100, color: bool = False) -> str:
    console = Console(
        width=width, file=io.StringIO(), force_terminal=color, color_system="truecolor" if color else None
    )
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def markdown(records: list[Record], plan: Plan, **options: Any) -> list[list[str]]:
    """The cells of the Markdown table's lines, without its head."""
    lines = [line for line in str(render(aggregate(records, plan), plan, "md", **options)).splitlines() if "|" in line]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def csv_rows(records: list[Record], plan: Plan, **options: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(str(render(aggregate(records, plan), plan, "csv", **options)))))


def json_rows(records: list[Record], plan: Plan, **options: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(str(render(aggregate(records, plan), plan, "json", **options)))["rows"]
    return rows


def test_an_entry_has_a_line_a_benchmark_and_one_for_its_mean(make_entry: Callable[..., Any], plan: Plan) -> None:
    assert markdown(make_entry("a", GOOD), plan) == [
        ["1", "a", "baseline", "one", "0.850 ± 0.635 (2/2)", "0.150 ± 0.635 (2/2)", "scored"],
        ["1", "a", "baseline", "two", "0.650 ± 0.635 (2/2)", "0.350 ± 0.635 (2/2)", "scored"],
        ["1", "a", "baseline", "mean", "0.750 ± 0.635 (2/2)", "", "scored"],
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_the_better_direction_is_shown(make_entry: Callable[..., Any], plan: Plan, format: Any) -> None:
    table = text(render(aggregate(make_entry("a", GOOD), plan), plan, format))
    signs = {"latex": (r"test acc $\uparrow$", r"mia auc $\downarrow$"), "csv": ("acc_mean", "auc_mean")}
    signs["rich"] = ("acc ↑", "auc ↓")  # their titles stand on two lines
    signs["json"] = ('"direction": "max"', '"direction": "min"')
    assert all(sign in table for sign in signs.get(format, ("test acc ↑", "mia auc ↓")))


def test_a_single_seed_is_shown_without_interval(make_entry: Callable[..., Any], plan: Plan) -> None:
    rows = markdown(make_entry("a", GOOD), replace(plan, seeds=(42,)))
    assert [row[4] for row in rows] == ["0.800 (1/1)", "0.600 (1/1)", "0.700 (1/1)"]


def test_a_lost_seed_shows_the_count_and_the_reason(make_entry: Callable[..., Any], plan: Plan) -> None:
    lost = {"status": "failed", "reason": "failed: raised ValueError: no"}
    rows = markdown(make_entry("a", [[0.8, lost], ["missing", 0.7]]), plan)
    assert [row[0] for row in rows] == ["–", "–", "–"]
    assert [row[4:] for row in rows] == [
        ["1/2", "–", "failed 1/2: seed 43: raised ValueError: no"],
        ["1/2", "–", "missing 1/2: seed 42"],
        ["0/2", "", "failed 1/4; missing 1/4"],
    ]


def test_a_collapsed_seed_is_marked_beside_the_mean(make_entry: Callable[..., Any], plan: Plan) -> None:
    collapsed = {"score": 0.1, "status": "collapsed", "reason": "collapsed: test accuracy 0.100"}
    rows = markdown(make_entry("a", [[0.8, collapsed], [0.6, 0.7]]), plan)
    assert rows[0][4].endswith("(2/2)")
    assert rows[0][6] == "collapsed 1/2: seed 43: test accuracy 0.100"
    assert rows[2][6] == "collapsed 1/4"


def test_a_metric_without_a_number_in_a_complete_line_is_a_dash(make_entry: Callable[..., Any], plan: Plan) -> None:
    broken = {"status": "collapsed", "metrics": {"acc": None}}
    rows = markdown(make_entry("a", [[0.8, broken], [0.6, 0.7]]), plan)
    assert [row[4] for row in rows] == ["–", "0.650 ± 0.635 (2/2)", "–"]


def test_seeds_lost_for_one_reason_are_named_together(make_entry: Callable[..., Any], plan: Plan) -> None:
    slow, other = {"status": "failed", "reason": "too slow"}, {"status": "failed", "reason": "died"}
    wide = replace(plan, seeds=(42, 43, 44))
    assert markdown(make_entry("a", [[slow, other, slow]]), wide)[0][6] == (
        "failed 3/3: seeds 42, 44: too slow; seed 43: died"
    )


def test_the_best_is_marked_in_the_direction_of_its_metric(make_entry: Callable[..., Any], plan: Plan) -> None:
    rows = csv_rows([*make_entry("a", GOOD), *make_entry("b", BETTER)], plan)
    assert [(row["name"], row["best"]) for row in rows] == [
        *[("b", "acc auc"), ("b", "acc auc"), ("b", "acc")],
        *[("a", ""), ("a", ""), ("a", "")],
    ]


def test_the_best_is_found_for_each_metric_by_itself(make_record: Callable[..., Record], plan: Plan) -> None:
    single = replace(plan, benchmarks=("one",), seeds=(42,))
    records = [
        make_record(name="accurate", metrics={"acc": 0.9, "auc": 0.7}),
        make_record(name="private", metrics={"acc": 0.8, "auc": 0.5}),
    ]
    assert [row["best"] for row in csv_rows(records, single)] == ["acc", "acc", "auc", ""]


def test_equal_best_values_are_all_marked(make_entry: Callable[..., Any], plan: Plan) -> None:
    rows = csv_rows([*make_entry("a", GOOD), *make_entry("b", GOOD)], plan)
    assert {row["best"] for row in rows} == {"acc auc", "acc"}


def test_a_single_sound_line_is_not_best(make_entry: Callable[..., Any], plan: Plan) -> None:
    collapsed = make_entry("b", [[0.1, {"score": 0.1, "status": "collapsed"}], [0.1, "missing"]])
    rows = csv_rows([*make_entry("a", GOOD), *collapsed], plan)
    assert {row["best"] for row in rows} == {""}


def test_a_collapsed_line_is_never_best(make_entry: Callable[..., Any], plan: Plan) -> None:
    collapsed = make_entry("c", [[0.99, {"score": 0.99, "status": "collapsed"}], [0.99, 0.99]])
    rows = csv_rows([*make_entry("a", GOOD), *make_entry("b", BETTER), *collapsed], plan)
    assert [row["name"] for row in rows if row["best"] and row["benchmark"] in {"one", "mean"}] == ["b", "b"]


def test_a_collapsed_line_that_equals_the_best_is_not_marked(make_entry: Callable[..., Any], plan: Plan) -> None:
    collapsed = make_entry("c", [[0.85, {"score": 0.95, "status": "collapsed"}], BETTER[1]])
    rows = csv_rows([*make_entry("a", GOOD), *make_entry("b", BETTER), *collapsed], plan)
    assert [(row["name"], row["best"]) for row in rows if row["benchmark"] == "one"] == [
        ("b", "acc auc"),
        ("a", ""),
        ("c", ""),
    ]


@pytest.mark.parametrize(
    ("format", "marked"),
    [
        ("md", "| **0.900 ± 0.635 (2/2)** |"),
        ("latex", r"& \textbf{0.900 $\pm$ 0.635 (2/2)} &"),
        ("rich", "\x1b[1;32m0.900 ± 0.635 (2/2)\x1b[0m"),
    ],
)
def test_the_best_is_bold(make_entry: Callable[..., Any], plan: Plan, format: Any, marked: str) -> None:
    results = aggregate([*make_entry("a", GOOD), *make_entry("b", BETTER)], plan)
    table = text(render(results, plan, format), width=200, color=format == "rich")
    assert marked in table
    assert marked.replace("0.900", "0.850") not in table


def test_csv_and_json_hold_the_same_raw_numbers(make_entry: Callable[..., Any], plan: Plan) -> None:
    records = [*make_entry("a", GOOD), *make_entry("b", [[0.1, "missing"], [0.3, 0.4]])]
    results = aggregate(records, plan)
    for as_csv, as_json in zip(csv_rows(records, plan), json_rows(records, plan), strict=True):
        assert (as_csv["n"], as_csv["planned"]) == (str(as_json["n"]), str(as_json["planned"]))
        for metric in ("acc", "auc"):
            mean = as_json["metrics"].get(metric)
            assert as_csv[f"{metric}_mean"] == ("" if mean is None else repr(mean["mean"]))
            assert as_csv[f"{metric}_half_width"] == ("" if mean is None else repr(mean["half_width"]))
    exact = results[0].benchmarks[0].means["acc"]
    assert exact is not None
    assert json_rows(records, plan)[0]["metrics"]["acc"] == {
        "mean": exact.mean,
        "half_width": exact.half_width,
        "n": 2,
        "planned": 2,
    }


PUBLISHED = [
    Line(1, "erm", "baseline", "one", {"acc": 0.891, "auc": 0.5}),
    Line(1, "erm", "baseline", "two", {"acc": 0.999, "auc": 0.1}),
    Line(2, "relaxloss", "baseline", "one", {"acc": 0.1}, "collapsed"),
    Line(2, "relaxloss", "baseline", "two", {"acc": None}, "missing"),
    Line(3, "erm", "agent", "one", {"acc": 0.5}),
    Line(4, "erm", "baseline", "two", {"acc": 0.4}),
    Line(5, "old", "baseline", "benchmark of another protocol", {"acc": 0.4}),
]


def test_published_lines_follow_their_namesake_or_come_last(make_entry: Callable[..., Any], plan: Plan) -> None:
    records = [*make_entry("erm", GOOD), *make_entry("best", BETTER)]
    rows = markdown(records, plan, published=PUBLISHED)
    heads = list(dict.fromkeys((row[0], row[1], row[2]) for row in rows))
    assert heads == [
        ("1", "best", "baseline"),
        ("2", "erm", "baseline"),
        ("–", "erm", "published baseline"),
        ("–", "relaxloss", "published baseline"),
        ("–", "erm", "published agent"),
    ]


def test_published_lines_keep_their_numbers_and_states(make_entry: Callable[..., Any], plan: Plan) -> None:
    rows = markdown(make_entry("x", GOOD), plan, published=PUBLISHED)[3:]
    assert [row[3:] for row in rows] == [
        ["one", "0.891", "0.500", "scored"],
        ["two", "0.999", "0.100", "scored"],
        ["mean", "0.945", "", "scored"],
        ["one", "0.100", "–", "collapsed"],
        ["two", "–", "–", "missing"],
        ["mean", "–", "", "collapsed 1/2; missing 1/2"],
        ["one", "0.500", "–", "scored"],
        ["mean", "–", "", "scored"],
        ["two", "0.400", "–", "scored"],
        ["mean", "–", "", "scored"],
    ]


def test_published_lines_follow_only_the_first_of_several_namesakes(make_entry: Callable[..., Any], plan: Plan) -> None:
    records = [*make_entry("erm", GOOD), *make_entry("erm", BETTER, submission="2" * 64)]
    rows = csv_rows(records, plan, published=PUBLISHED[:2])
    assert [row["submission"][:1] for row in rows] == ["2"] * 3 + [""] * 3 + ["1"] * 3


def test_published_lines_never_compete_for_the_best(make_entry: Callable[..., Any], plan: Plan) -> None:
    records = [*make_entry("a", GOOD), *make_entry("b", BETTER)]
    top = [Line(1, "top", "agent", name, {"acc": 1.0, "auc": 0.0}) for name in plan.benchmarks]
    with_them = [row for row in csv_rows(records, plan, published=top) if row["type"] == "baseline"]
    assert with_them == csv_rows(records, plan)
    assert {row["best"] for row in csv_rows(records, plan, published=top) if row["name"] == "top"} == {""}


@pytest.mark.parametrize("format", ["rich", "md", "latex", "json"])
def test_caption_and_what_was_left_out_are_shown(make_entry: Callable[..., Any], plan: Plan, format: Any) -> None:
    results = aggregate(make_entry("a", GOOD), plan)
    table = text(render(results, plan, format, caption="the caption", left_out=["3 records left out: so"]), 200)
    assert "the caption" in table
    assert "3 records left out: so" in table


@pytest.mark.parametrize("format", FORMATS)
def test_a_table_without_entries_is_still_one(plan: Plan, format: Any) -> None:
    assert text(render([], plan, format))


def test_an_unknown_format_is_an_error_that_lists_the_formats(plan: Plan) -> None:
    with pytest.raises(UserError, match="'xml'; use one of rich, md, csv, latex, json"):
        render([], plan, "xml")  # type: ignore[arg-type]


def test_the_terminal_table_fits_100_columns(make_record: Callable[..., Record], plan: Plan) -> None:
    metrics = ("test acc", "mia auc", "privacy gap", "privacy score")
    columns = tuple(replace(plan.columns[0], name=m, title=m, primary=m == "privacy score") for m in metrics)
    paper = Plan(("resnet20-cifar10", "vgg16bn-cifar100", "mobilenetv2-fmnist"), (42, 43, 44, 45), columns)
    records = [
        make_record(
            name="google/gemini-3.1-pro-preview",
            benchmark=benchmark,
            seed=seed,
            metrics=dict.fromkeys(metrics, 0.7 + seed / 1000),
            status="collapsed" if seed == 44 else "scored",
            reason="the reason " * 20,
        )
        for benchmark in paper.benchmarks
        for seed in paper.seeds
    ]
    table = text(render(aggregate(records, paper), paper, "rich", left_out=["x" * 150], caption="c" * 150))
    assert max(cell_len(line) for line in table.splitlines()) <= 100
    assert table.count("± 0.002 (4/4)") == 4
    assert "google/gemini-3.1-pro-preview, vgg16bn-cifar100: collapsed 1/4: seed 44: the reason" in table
