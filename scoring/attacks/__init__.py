"""Membership-inference attacks: functions of arrays, one score an example, higher for a member."""

from __future__ import annotations

from mlsbench.scoring.attacks.catalogue import AUDIT_1, PAPER, REFERENCES
from mlsbench.scoring.attacks.target import (
    Attack,
    MissingReferencesError,
    Outputs,
    Scores,
    Target,
    complementary_references,
)

__all__ = [
    "AUDIT_1",
    "PAPER",
    "REFERENCES",
    "Attack",
    "MissingReferencesError",
    "Outputs",
    "Scores",
    "Target",
    "complementary_references",
]
