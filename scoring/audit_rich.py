"""An audit for a terminal: what was found, the attacks, and a small histogram of confidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlsbench.scoring.audit_document import AttackResult, Audit, Bounds, CanaryResult, SeedAudit
from mlsbench.scoring.text import clean

_LEVELS = " ▁▂▃▄▅▆▇█"
_TITLES = {
    "audit-1": "audit-1", "paper": "with the paper's thresholds", "references": "with reference models",
    "white-box": "white box",
}  # fmt: skip
NOTE = (
    "Means over seeds. AUC with DeLong's 95 % interval (means of its ends). adv: best balanced accuracy − 1/2, the "
    "threshold chosen on the same examples; held out: chosen on one half, judged on the other; own: at the attack's "
    "own. TPR at 1 % and 0.1 % FPR, n/a below ten false positives. ε: lower bound at 95 % confidence."
)


def rich_audit(audit: Audit) -> Group:
    """What a rich console prints of `audit`."""
    name = Text.assemble((clean(audit.entry.name, 50), "bold cyan"), f", {audit.benchmark}, {audit.protocol}, ")
    name.append(("seed " if len(audit.seeds) == 1 else "seeds ") + ", ".join(str(seed.seed) for seed in audit.seeds))
    if audit.references_only:
        name.append(f"; references only: {', '.join(map(str, audit.references_only))}")
    parts: list[RenderableType] = [name, _summary(audit), *_findings(audit), Text(), _attacks(audit), Text(NOTE, "dim")]
    parts += _not_run({name: why for seed in reversed(audit.seeds) for name, why in seed.not_run.items()})
    parts += [Text(f"left out: {clean(why, 200)}", "yellow") for why in audit.left_out.values()]
    return Group(*parts, Text(), *_exposure(audit), *_canaries(audit), _histogram(audit))


def _summary(audit: Audit) -> Text:
    def mean(value: Callable[[SeedAudit], float]) -> float:
        return fmean(value(seed) for seed in audit.seeds)

    strongest = ", ".join(dict.fromkeys(seed.strongest for seed in audit.seeds))
    largest = mean(lambda s: s.largest_advantage)
    chance, high = mean(lambda s: s.chance_mean), mean(lambda s: s.chance_high)
    accuracy, gap = mean(lambda s: s.test_acc), mean(lambda s: s.generalization_gap)
    inside, outside = mean(lambda s: s.member_acc), mean(lambda s: s.non_member_acc)
    return Text.assemble(
        (f"audited score {audit.audited_score:.3f}", "bold"),
        f" = test accuracy {accuracy:.3f} − largest folded advantage of {audit.panel} {largest:.3f} ({strongest}); "
        f"chance alone gives {chance:.3f}, 95 times in 100 less than {high:.3f}\naccuracy on members {inside:.3f}, on "
        f"non-members {outside:.3f}, gap {gap:.3f}",
    )


def _not_run(reasons: Mapping[str, str]) -> list[Text]:
    lines = []
    for reason in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name, why in reasons.items() if why == reason)
        lines.append(Text(f"not run, {clean(reason, 500)}: {names}", "dim"))
    return lines


def _findings(audit: Audit) -> list[Text]:
    lines = []
    for kind in dict.fromkeys(kind for seed in audit.seeds for kind in seed.findings):
        having = [seed for seed in audit.seeds if kind in seed.findings]
        where = "" if len(having) == len(audit.seeds) else f" (seed {', '.join(str(s.seed) for s in having)})"
        lines.append(Text.assemble((f"{kind}{where}: ", "bold red"), having[0].findings[kind]))
    return lines or [Text("no finding: mia_auc is as good a witness here as of an honest loss", "green")]


def _attacks(audit: Audit) -> Table:
    table = Table(box=None, padding=(0, 1), show_edge=False)
    table.add_column("attack")
    for title in ("AUC", "adv", "held out", "own", "TPR 1 %", "TPR 0.1 %", "ε ≥"):
        table.add_column(title, justify="right", no_wrap=True)
    by_name: dict[str, list[AttackResult]] = {}
    for seed in audit.seeds:
        for result in seed.attacks:
            by_name.setdefault(result.name, []).append(result)
    shown = ""
    for name, results in by_name.items():
        if results[0].panel != shown:
            shown = results[0].panel
            table.add_row(Text(_TITLES[shown], "italic dim"))
        table.add_row(name.removeprefix("paper-"), *_cells(results))
    return table


def _cells(results: list[AttackResult]) -> list[str]:
    def mean(value: Callable[[AttackResult], float]) -> str:
        return f"{fmean(map(value, results)):.3f}"

    low, high = mean(lambda r: r.auc.low), mean(lambda r: r.auc.high)
    return [
        f"{mean(lambda r: r.auc.value)} [{low}, {high}]",
        mean(lambda r: r.advantage),
        mean(lambda r: r.held_out_advantage),
        _optional([r.decided_advantage for r in results], "–"),
        _optional([_value(r.tpr_at_1_percent_fpr) for r in results], "n/a"),
        _optional([_value(r.tpr_at_01_percent_fpr) for r in results], "n/a"),
        f"{fmean(r.epsilon_at_least for r in results):.2f}",
    ]


def _value(bounds: Bounds | None) -> float | None:
    return None if bounds is None else bounds.value


def _optional(values: list[float | None], none: str) -> str:
    known = [value for value in values if value is not None]
    return f"{fmean(known):.3f}" if known else none


def _exposure(audit: Audit) -> list[Text]:
    found = audit.exposure
    if found is None or found.worst_examples_auc is None or found.worst_class_auc is None:
        return [Text("worst examples and worst class: two complementary pairs of seeds are needed", "dim")]
    examples = f"the worst {found.worst_examples} examples, chosen by other seeds: AUC {found.worst_examples_auc:.3f}"
    return [Text(f"{examples}; the worst class ({found.worst_class}), likewise: AUC {found.worst_class_auc:.3f}")]


def _canaries(audit: Audit) -> list[RenderableType]:
    """The attacks on canaries, none without any."""
    found = [seed.canaries for seed in audit.seeds if seed.canaries]
    by_name: dict[str, list[CanaryResult]] = {}
    for result in (result for one in found for result in one.attacks):
        by_name.setdefault(result.name, []).append(result)
    if not by_name:
        return []
    members, others = (fmean(counts) for counts in zip(*((c.members, c.non_members) for c in found), strict=True))
    table = Table(box=None, padding=(0, 1), show_edge=False)
    table.add_column(f"on the canaries alone, {members:.0f} members and {others:.0f} non-members")
    for title in ("AUC", "TPR 1 %", "TPR 5 %"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, results in by_name.items():
        low, middle, high = (fmean(getattr(r.auc, end) for r in results) for end in ("low", "value", "high"))
        rates = [[r.tpr_at_1_percent_fpr for r in results], [r.tpr_at_5_percent_fpr for r in results]]
        tprs = [_optional([_value(bounds) for bounds in rate], "n/a") for rate in rates]
        table.add_row(name, f"{middle:.3f} [{low:.3f}, {high:.3f}]", *tprs)
    return [table, Text()]


def _histogram(audit: Audit) -> Text:
    """Confidence from 0 to 1, each kind scaled to its own largest bin."""
    lines = []
    for kind in ("members", "non-members"):
        counts = [sum(column) for column in zip(*(s.confidence_histogram[kind] for s in audit.seeds), strict=True)]
        top = max(counts)
        bars = "".join(_LEVELS[0 if not n else max(1, round(n / top * (len(_LEVELS) - 1)))] for n in counts)
        lines.append(f"{kind:>11} 0 {bars} 1")
    return Text("confidence\n" + "\n".join(lines))
