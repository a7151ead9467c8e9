"""The part of the page about each entry: folded up, its plots drawn when it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from mlsbench.scoring.aggregation import EntryKey, EntryResult
from mlsbench.scoring.audit_document import SeedAudit
from mlsbench.scoring.panel import NAME
from mlsbench.scoring.report.contents import Contents
from mlsbench.scoring.report.markup import Html, join, tag
from mlsbench.scoring.report.sections import figure, findings, note, section
from mlsbench.scoring.rows import MEAN_ROW, Row, cell
from mlsbench.scoring.text import clean


def entries_section(contents: Contents) -> Html:
    """All measured entries, best first."""
    groups = {contents.anchor(group[0]): group for group in contents.groups if group[0].n is not None}
    parts = [_entry(contents, result, groups[f"entry-{i}"]) for i, result in enumerate(contents.results, start=1)]
    return section("entries", "Entries", note("ROC curves and rates are means over seeds."), *parts)


def _entry(contents: Contents, result: EntryResult, group: Sequence[Row]) -> Html:
    first = group[0]
    mean = next((row for row in group if row.benchmark == MEAN_ROW), first)
    flags = [tag("span", status, class_="flag bad") for status, _ in mean.troubles]
    kinds = {kind for row in group if row is not mean for kind, _ in findings(contents, row)}
    flags += [tag("span", kind, class_="flag found") for kind in sorted(kinds)]
    kind = contents.kind(first)
    summary = tag(
        "summary",
        tag("span", "–" if result.rank is None else str(result.rank), class_="rank"),
        tag("h3", first.name), tag("span", kind, class_="kind", data_kind=kind),
        tag("span", cell(mean, contents.plan.primary), class_="score"), *flags,
    )  # fmt: skip
    digest = note("submission ", tag("code", result.key.submission[:12]))
    parts = [_part(contents, result.key, row) for row in group if row.benchmark != MEAN_ROW]
    return tag("details", summary, digest, *parts, class_="entry", id=contents.anchor(first))


def _part(contents: Contents, key: EntryKey, row: Row) -> Html:
    seeds, audit = contents.audited(key, row.benchmark), contents.audits.get((key, row.benchmark))
    lines = [tag("p", tag("span", status, class_="flag bad"), " ", reason) for status, reason in row.troubles]
    lines += [tag("p", tag("span", kind, class_="flag found"), " ", text) for kind, text in findings(contents, row)]
    plots: list[Html] = []
    place = {"data_entry": contents.anchor(row), "data_benchmark": row.benchmark}
    if seeds:
        lines.append(_summary(seeds))
        strongest = ", ".join(dict.fromkeys(seed.strongest for seed in seeds))
        words = f"ROC curves, logarithmic axes; dotted: guessing. Strongest of {NAME}: {strongest}."
        plots += [
            tag("div", figure("roc", words, **place), tag("div", class_="attacks", **place), class_="wide"),
            figure("histogram", "Largest probability: shares of members and of non-members in 24 bins.", **place),
        ]
    elif isinstance(audit, str):
        lines.append(note("Not audited: ", clean(audit, 300)))
    if any(contents.curves.get((key, row.benchmark), {}).values()):
        plots.append(
            figure("curves", "Training: accuracy and mia_auc after each epoch, a line for each seed.", **place)
        )
    return tag("section", tag("h4", row.benchmark), *lines, tag("div", *plots, class_="grid") if plots else join([]))


def _summary(seeds: Sequence[SeedAudit]) -> Html:
    score, largest = fmean(s.audited_score for s in seeds), fmean(s.largest_advantage for s in seeds)
    accuracy, gap = fmean(s.test_acc for s in seeds), fmean(s.generalization_gap for s in seeds)
    chance, high = fmean(s.chance_mean for s in seeds), fmean(s.chance_high for s in seeds)
    return tag(
        "p", tag("strong", f"audited score {score:.3f}"),
        f" = test accuracy {accuracy:.3f} − largest folded advantage of {NAME} {largest:.3f}. Chance alone gives "
        f"{chance:.3f}, 95 times in 100 less than {high:.3f}. Generalization gap {gap:.3f}. "
        f"{len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'}.",
    )  # fmt: skip
