"""The parts of the page about all entries: the results table, two places for plots, verdicts and findings."""

from __future__ import annotations

from collections.abc import Iterable

from mlsbench.scoring.aggregation import EntryKey
from mlsbench.scoring.report.contents import Contents
from mlsbench.scoring.report.markup import Html, join, tag
from mlsbench.scoring.rows import MEAN_ROW, NOTE, Row, cell, heading, number
from mlsbench.scoring.text import clean

_KINDS = ("agent", "vanilla", "baseline", "control", "published")


def section(name: str, title: str, *children: str) -> Html:
    """A part of the page under a heading of the second level."""
    return tag("section", tag("h2", title, id=f"{name}-title"), *children, id=name, aria_labelledby=f"{name}-title")


def note(*children: str) -> Html:
    """A small paragraph."""
    return tag("p", *children, class_="note")


def choice(name: str, label: str, values: Iterable[tuple[str, str]]) -> Html:
    """A labelled selection."""
    options = (tag("option", text, value=value) for value, text in values)
    return tag("label", tag("span", label), " ", tag("select", *options, id=name))


def figure(kind: str, words: str, title: str | None = None, **data: str | None) -> Html:
    """A place where the script draws. `words` say what is to be seen; a `title` stands above the plot instead."""
    plot = tag("div", class_=f"plot {kind}", data_plot=kind, role="img", aria_label=words, **data)
    return tag(
        "figure", *([tag("figcaption", title, class_="title"), plot] if title else [plot, tag("figcaption", words)])
    )


def scroller(label: str, *children: str) -> Html:
    """A box that scrolls sideways, by keyboard too."""
    return tag("div", *children, class_="scroll", tabindex="0", role="region", aria_label=label)


def caption(text: str) -> Html:
    """A table's caption; it stays in sight where the table is wider than its box."""
    return tag("caption", tag("span", text))


def breakable(name: str) -> Html:
    """A name that may be broken after an underscore."""
    first, *rest = name.split("_")
    return join([first, *(part for piece in rest for part in ("_", Html("<wbr>"), piece))])


_WORDS = (
    ("test acc", "accuracy on the test set"),
    ("mia auc", "how well the largest probability tells members, on which the model was trained, from non-members; 0.5 "
                "is guessing"),
    ("privacy gap", "mean of that probability over members minus that over non-members"),
    ("privacy score", "test acc − max(mia auc − 0.5, 0), which ranks the entries"),
    ("audited score", "test acc minus the largest folded advantage of audit-1, a fixed panel of twelve attacks"),
    ("folded advantage", "max(AUC, 1 − AUC) − 0.5: what an attacker has who may flip the sign"),
    ("ε ≥", "training was not (ε, 10⁻⁵)-differentially private with a smaller ε, at 95 % confidence"),
    ("finding", "a written rule says why mia auc is a bad witness for this entry"),
)  # fmt: skip


def results_section(contents: Contents) -> Html:
    """The results table: the lines and numbers of `mlsbench table --published`."""
    columns = contents.plan.columns
    head = [
        _head("rank", "max"), _head("entry", "min"), _head("type", "min"), _head("benchmark", "min"),
        *(_head("\u00a0".join(heading(c).rsplit(" ", 1)), c.direction, "number") for c in columns),
        _head("status", "min"),
    ]  # fmt: skip
    rows = [_row(contents, row, n, row is group[0]) for n, group in enumerate(contents.groups) for row in group]
    kinds = {contents.kind(row) for group in contents.groups for row in group}
    chosen = [("", "all"), *((kind, kind) for kind in _KINDS if kind in kinds)]
    benchmarks = [("", "all"), *((name, name) for name in (*contents.plan.benchmarks, MEAN_ROW))]
    table = tag(
        "table",
        caption(f"{contents.caption}. {NOTE[0].upper()}{NOTE[1:]}; the best value of a benchmark is bold."),
        tag("thead", tag("tr", *head)), tag("tbody", *rows), id="table",
    )  # fmt: skip
    filters = tag("div", choice("show-benchmark", "Benchmark", benchmarks), choice("show-kind", "Type", chosen),
                  tag("span", id="shown", role="status"), class_="filters")  # fmt: skip
    lines = [note(clean(line, 300)) for line in contents.left_out]
    empty = [] if rows else [note("no entries")]
    terms = [part for term, meaning in _WORDS for part in (tag("dt", term), tag("dd", meaning))]
    words = tag("details", tag("summary", "What the terms mean"), tag("dl", *terms), id="words")
    return section("results", "Results", filters, scroller("Results table", table), *empty, *lines, words)


def _head(title: str, direction: str, class_: str | None = None) -> Html:
    button = tag("button", title, tag("span", class_="sorted", aria_hidden="true"), type="button")
    return tag("th", button, scope="col", aria_sort="none", data_better=direction, class_=class_)


def _row(contents: Contents, row: Row, group: int, first: bool) -> Html:
    kind, anchor = contents.kind(row), contents.anchor(row)
    name = tag("a", breakable(row.name), href=f"#{anchor}") if anchor else breakable(row.name)
    numbers = []
    for column in contents.plan.columns:
        mean = row.means.get(column.name)
        best = "number best" if column.name in row.best else "number"
        # As on the terminal, the seeds in a mean stand once a line, in the primary column.
        text = cell(row, column) if column.primary or mean is None else number(mean)
        numbers.append(tag("td", text, class_=best, data_value=None if mean is None else mean.mean))
    shown = row.type if kind == "published" else kind
    status = "bad" if row.troubles else "found" if row.findings else None
    return tag(
        "tr",
        tag("td", "–" if row.rank is None else str(row.rank), data_value=row.rank, class_="rank"),
        tag("th", tag("div", name, class_="name"), scope="row", data_value=row.name),
        tag("td", tag("span", shown, class_="kind", data_kind=kind), data_value=shown),
        tag("td", row.benchmark, data_value=row.benchmark),
        *numbers,
        tag("td", row.status, data_value=row.status, class_=status),
        data_kind=kind, data_benchmark=row.benchmark, data_group=group, class_=_classes(row, first),
    )  # fmt: skip


def _classes(row: Row, first: bool) -> str | None:
    return " ".join(name for name, on in (("first", first), ("mean", row.benchmark == MEAN_ROW)) if on) or None


def leakage_section(contents: Contents) -> Html:
    """Places for a plot of accuracy against leakage for each benchmark."""
    axes = [
        ("advantage", "largest folded advantage of audit-1 (lines: audited score)"),
        ("mia_auc", "mia_auc (lines: privacy_score; with published rows)"),
    ]
    words = "test accuracy against leakage, every entry that is scored in full"
    plots = [figure("leakage", f"{name}: {words}.", name, data_benchmark=name) for name in contents.plan.benchmarks]
    how = note(
        "Up and to the left is better. Dotted lines join points of equal score. The stepped line is the best accuracy "
        "that the controls reach at no more leakage: a defense that is worth something lies above it. Small numbers "
        "are ranks, of many entries the first ten."
    )
    chosen = tag("div", choice("leakage-axis", "Leakage", axes), class_="filters")
    absent = [note(f"Not drawn in {name}: {', '.join(of)}.") for name, of in _not_drawn(contents).items() if of]
    return section("leakage", "Accuracy against leakage", how, chosen, tag("div", *plots, class_="grid"), *absent)


def _not_drawn(contents: Contents) -> dict[str, list[str]]:
    """By benchmark, the measured lines that have no point on the first axis, and why."""
    absent: dict[str, list[str]] = {name: [] for name in contents.plan.benchmarks}
    for row in (row for group in contents.groups for row in group if row.n is not None):
        if row.troubles and row.benchmark in absent:
            absent[row.benchmark].append(f"{row.name} ({'; '.join(status for status, _ in row.troubles)})")
        elif row.benchmark in absent and not contents.audited_whole(
            EntryKey(row.name, row.type, row.submission), row.benchmark
        ):
            absent[row.benchmark].append(f"{row.name} (not audited with every seed; see mia_auc)")
    return absent


def seeds_section(contents: Contents) -> Html:
    """Places for a plot of each seed's value, by metric."""
    primary = contents.plan.primary
    columns = [primary, *(c for c in contents.plan.columns if c != primary)]
    plots = [
        figure("seeds", f"{name}: each seed's value, the mean and its t-interval.", name, data_benchmark=name)
        for name in contents.plan.benchmarks
    ]
    seeds = ", ".join(map(str, contents.plan.seeds))
    how = note(f"Seeds {seeds}. Open circles are seeds, bars are 95 % t-intervals of the mean.")
    chosen = tag("div", choice("seeds-metric", "Metric", [(c.name, heading(c)) for c in columns]), class_="filters")
    return section("seeds", "Seeds", how, chosen, tag("div", *plots, class_="grid"))


def verdicts_section(contents: Contents) -> Html:
    """Every job that is not scored with its reason, every finding, and what could not be audited."""
    rows = []
    for group in contents.groups:
        for row in (row for row in group if row.n is not None and row.benchmark != MEAN_ROW):
            name = tag("a", breakable(row.name), href=f"#{contents.anchor(row)}")
            lines = [(status, reason or "no reason given", "bad") for status, reason in row.troubles]
            key = EntryKey(row.name, row.type, row.submission)
            lines += [(kind, text, "found") for kind, text in findings(contents, row)]
            audit = contents.audits.get((key, row.benchmark))
            lines += [("not audited", clean(audit, 300), "found")] if isinstance(audit, str) else []
            rows += [
                tag("tr", tag("th", tag("div", name, class_="name"), scope="row"), tag("td", row.benchmark),
                    tag("td", tag("span", what, class_=f"flag {style}")), tag("td", why, class_="why"))
                for what, why, style in lines
            ]  # fmt: skip
    if not rows:
        return section("verdicts", "Verdicts and findings", note("Every job is scored, and the audits found nothing."))
    head = tag("thead", tag("tr", *(tag("th", t, scope="col") for t in ("entry", "benchmark", "what", "why"))))
    words = caption("Jobs that are not scored, findings of the audits, and what could not be audited.")
    table = tag("table", words, head, tag("tbody", *rows))
    return section("verdicts", "Verdicts and findings", scroller("Verdicts and findings", table))


def findings(contents: Contents, row: Row) -> tuple[tuple[str, str], ...]:
    """Each kind of finding as the table has it, with its words; of records that have none, those of the audit."""
    if row.findings:
        return row.findings
    seeds = contents.audited(EntryKey(row.name, row.type, row.submission), row.benchmark)
    having = {kind: [seed for seed in seeds if kind in seed.findings] for seed in seeds for kind in seed.findings}
    return tuple(
        (
            clean(f"{kind} {len(of)}/{len(contents.plan.seeds)}", 40),
            clean(f"seed {of[0].seed}: {of[0].findings[kind]}", 300),
        )
        for kind, of in having.items()
    )
