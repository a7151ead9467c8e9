"""What every attack is given, and what it answers: one score an example, higher for a member."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.attacks.features import log_probability, probabilities, scaled_logit

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.integer]


class MissingReferencesError(ValueError):
    """An attack that needs other models of the same training was given none, or too few."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """A trained model as an attacker meets it: logits [N, K] on the pool, labels int [N], member bool [N].

    ValueError if shapes or types do not match or a logit is not finite.
    """

    logits: NDArray[np.floating]
    labels: IntArray
    member: BoolArray

    def __post_init__(self) -> None:
        if self.logits.ndim != 2 or not np.isfinite(self.logits).all():
            raise ValueError("logits must be finite numbers of the shape [examples, classes]")
        if self.labels.shape != self.logits.shape[:1] or not np.issubdtype(self.labels.dtype, np.integer):
            raise ValueError(f"labels must be one whole number for each of {len(self.logits)} examples")
        if self.labels.size and not 0 <= self.labels.min() <= self.labels.max() < self.logits.shape[1]:
            raise ValueError(f"labels must be 0 to {self.logits.shape[1] - 1}")
        if self.member.shape != self.labels.shape or self.member.dtype != np.bool_:
            raise ValueError(f"member must be one bool for each of {len(self.logits)} examples")

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def scaled_logit(self) -> FloatArray:
        """log p_y − log(1 − p_y), [N]."""
        return scaled_logit(self.logits, self.labels)

    @cached_property
    def log_probability(self) -> FloatArray:
        """log p_y, [N]: minus the cross-entropy."""
        return log_probability(self.scaled_logit)

    def probabilities(self) -> FloatArray:
        """The softmax, [N, K], computed anew at each call: it is the one large array."""
        return probabilities(self.logits)

    def take(self, index: NDArray[np.intp]) -> Outputs:
        """The same model on the examples of `index` alone."""
        return Outputs(self.logits[index], self.labels[index], self.member[index])

    def unknown(self) -> Outputs:
        """The same without what is known of membership: everybody is said to be a non-member."""
        return Outputs(self.logits, self.labels, np.zeros(len(self), np.bool_))


@dataclass(frozen=True, eq=False)
class Target:
    """A model under attack.

    model: it; its `member` is the truth that scores are judged by. An attack may use it on one half of the examples to
        score the other half, and in no other way.
    references: other models of the same training on the same pool, whose members the attacker knows. The number of them
        that had an example must not tell whether the target had it, see `complementary_references`.
    strangers: logits [M, K] of the target on inputs that were no member of any model, such as the test set.
    """

    model: Outputs
    references: tuple[Outputs, ...] = ()
    strangers: NDArray[np.floating] | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """What an attack says.

    values: float64 [N], higher: more likely a member. scored: bool [N], the examples that may be judged; the values of
    others mean nothing. decides: a value above 0 is the attack's own guess "member", by a threshold chosen without
    the membership of that example. note: what a reader should know, such as too few references.
    """

    values: FloatArray
    scored: BoolArray
    decides: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if not np.isfinite(self.values[self.scored]).all():
            raise ValueError("an attack's scores must be finite")


def scores(values: FloatArray, *, decides: bool = False) -> Scores:
    """`Scores` of all examples."""
    return Scores(values, np.ones(len(values), np.bool_), decides)


Run = Callable[[Target], Scores]


@dataclass(frozen=True)
class Attack:
    """A named attack. fitted: on "nothing", on "halves" of the target's known membership, or on "references"."""

    name: str
    run: Run
    fitted: str = "nothing"


def complementary_references(models: dict[int, Outputs], seed: int) -> tuple[Outputs, ...]:
    """The references of the model of `seed`: both models of every other pair of seeds 2k and 2k + 1.

    Within a pair every example is a member of one model, so each example has as many references with it as without it,
    whether or not the target had it. The target's own complement is left out: with it the count alone would give
    membership away. Half a pair is left out for the same reason.
    """
    pairs = sorted({s // 2 for s in models if s // 2 != seed // 2 and {s, s ^ 1} <= models.keys()})
    return tuple(models[s] for pair in pairs for s in (2 * pair, 2 * pair + 1))
