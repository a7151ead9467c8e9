"""`audit.json`: what an audit says of an entry on a benchmark, as a document that may come from anybody."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mlsbench.scoring.epsilon import CONFIDENCE
from mlsbench.scoring.panel import NAME
from mlsbench.scoring.record import Digest, Entry, Model, Number, Seed
from mlsbench.scoring.roc import Interval

PanelName = Literal["audit-1", "paper", "references", "white-box"]

AUDIT_FILE = "audit.json"
AUDIT_BYTES = 1 << 24  # a hundred seeds
BINS, KINDS = 24, ("members", "non-members")

Rate = Annotated[float, Field(ge=0, le=1)]


class Bounds(Model):
    """A number and its 95 % interval."""

    value: Number
    low: Number
    high: Number


class AttackResult(Model):
    """How one attack did on one model."""

    name: str
    panel: PanelName
    fitted: str
    scored: int
    auc: Bounds
    folded_auc: Number
    advantage: Number
    held_out_advantage: Number
    decided_advantage: Number | None
    tpr_at_1_percent_fpr: Bounds | None
    tpr_at_01_percent_fpr: Bounds | None
    epsilon_at_least: Number
    tprs: tuple[Rate, ...] = Field((), description="at the false-positive rates `fprs` of the document")
    note: str = ""


class CanaryResult(Model):
    """How one attack that fits nothing did on canaries alone."""

    name: str
    auc: Bounds
    tpr_at_1_percent_fpr: Bounds | None
    tpr_at_5_percent_fpr: Bounds | None


class Canaries(Model):
    """The mislabelled examples of one model; no other number of the audit is about them."""

    members: int
    non_members: int
    attacks: tuple[CanaryResult, ...]


class SeedAudit(Model):
    """Everything about the model of one seed."""

    seed: Seed
    job_key: Digest
    record: Digest
    references: tuple[int, ...]
    test_acc: Number
    member_acc: Number
    non_member_acc: Number
    generalization_gap: Number
    audited_score: Number
    largest_advantage: Number
    strongest: str
    chance_mean: Number
    chance_high: Number
    ties_float64: Number
    ties_float32: Number
    confidence_histogram: dict[str, tuple[int, ...]]
    attacks: tuple[AttackResult, ...]
    not_run: dict[str, str]
    findings: dict[str, str]
    canaries: Canaries | None = None


class Exposed(Model):
    """Risk beyond the average, see `scoring.exposure`."""

    examples: tuple[tuple[int, Number], ...]
    worst_examples: int
    worst_examples_auc: Number | None
    worst_class: int | None
    worst_class_auc: Number | None


class Audit(Model):
    """`audit.json`."""

    schema_version: Literal[1] = 1
    entry: Entry
    task: str
    protocol: str
    benchmark: str
    panel: str = NAME
    confidence: float = CONFIDENCE
    seeds: tuple[SeedAudit, ...]
    references_only: dict[int, Digest] = Field({}, description="the records of kept seeds that are not attacked")
    left_out: dict[str, str]
    exposure: Exposed | None
    fprs: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (), description="where each attack's ROC curve is given; () in older documents"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.seeds or len({one.seed for one in self.seeds}) < len(self.seeds):
            raise ValueError("one part for each of at least one seed")
        for one in self.seeds:
            if any(len(result.tprs) != len(self.fprs) for result in one.attacks):
                raise ValueError("a rate for each of fprs")
            shown = one.confidence_histogram
            if sorted(shown) != sorted(KINDS) or any(
                len(n) != BINS or min(n) < 0 or not any(n) for n in shown.values()
            ):
                raise ValueError(f"a histogram has {BINS} counts of members and of non-members")
        return self

    @property
    def audited_score(self) -> float:
        """The mean over the seeds."""
        return sum(s.audited_score for s in self.seeds) / len(self.seeds)


def bounds(interval: Interval) -> Bounds:
    """`interval` as a part of the document."""
    return Bounds(value=interval.value, low=interval.low, high=interval.high)
