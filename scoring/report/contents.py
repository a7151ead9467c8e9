"""What the page is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mlsbench.scoring.aggregation import EntryKey, EntryResult, Plan
from mlsbench.scoring.audit_document import Audit, SeedAudit
from mlsbench.scoring.kept import TrainingCurve
from mlsbench.scoring.record import Record
from mlsbench.scoring.rows import Published, Row, entry_groups

CONTROL = "control"
Place = tuple[EntryKey, str]  # an entry and a benchmark


@dataclass(frozen=True)
class Contents:
    """The results of `plan` and everything that is shown with them.

    controls: names of the baselines that are controls; records: those behind `results`; audits: for each entry and
    benchmark the audit, or why there is none; curves: by seed; left_out: lines about what is not in the table.
    """

    title: str
    caption: str
    plan: Plan
    results: Sequence[EntryResult]
    records: Sequence[Record]
    audits: Mapping[Place, Audit | str]
    curves: Mapping[Place, Mapping[int, TrainingCurve]]
    controls: frozenset[str] = frozenset()
    published: Sequence[Published] = ()
    left_out: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def groups(self) -> list[list[Row]]:
        """The lines of the results table, those of `mlsbench table --published`."""
        return entry_groups(self.results, self.plan, self.published)

    def kind(self, row: Row) -> str:
        """baseline, control, vanilla, agent or published."""
        if row.n is None:
            return "published"
        return CONTROL if row.type == "baseline" and row.name in self.controls else row.type

    def anchor(self, row: Row) -> str | None:
        """The id of the entry's part of the page; None for published lines."""
        return self._anchors[EntryKey(row.name, row.type, row.submission)] if row.n is not None else None

    def audited(self, key: EntryKey, benchmark: str) -> tuple[SeedAudit, ...]:
        """The audits of the planned seeds that have one."""
        audit = self.audits.get((key, benchmark))
        return tuple(s for s in audit.seeds if s.seed in self.plan.seeds) if isinstance(audit, Audit) else ()

    def audited_whole(self, key: EntryKey, benchmark: str) -> bool:
        """Whether every planned seed has its audit, so that there is a mean."""
        return len(self.audited(key, benchmark)) == len(self.plan.seeds)

    @cached_property
    def _anchors(self) -> dict[EntryKey, str]:
        return {result.key: f"entry-{i}" for i, result in enumerate(self.results, start=1)}
