"""Logits made up for tests of attacks: what leaks from them is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.attacks import Outputs
from mlsbench.scoring.trained import Trained

Floats = NDArray[np.float64]


def split(examples: int, seed: int = 0) -> NDArray[np.bool_]:
    """A random half, and its complement under the odd seed after an even one."""
    low = np.random.default_rng(10_000 + seed // 2).permutation(examples) < examples // 2
    return low if seed % 2 == 0 else ~low


def with_log_odds(odds: Floats, predicted: NDArray[np.integer], classes: int, random: np.random.Generator) -> Floats:
    """Logits [N, K] in float64 whose class `predicted` has the log-odds `odds`; the others are random."""
    logits = random.normal(size=(len(odds), classes))
    logits[np.arange(len(odds)), predicted] = -np.inf
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    logits[np.arange(len(odds)), predicted] = odds
    return logits


def model(
    members: tuple[float, float], others: tuple[float, float], *, right: tuple[float, float] = (1.0, 1.0),
    examples: int = 4000, classes: int = 10, seed: int = 0,
) -> Outputs:  # fmt: skip
    """A model whose predicted class has normal log-odds: mean and deviation for members and for others.

    right: the shares of members and of others that are predicted right.
    """
    random = np.random.default_rng(seed)
    member = split(examples, seed)
    labels = np.random.default_rng(1).integers(classes, size=examples)
    (m, s), (n, t) = members, others
    odds = np.where(member, random.normal(m, s, examples), random.normal(n, t, examples))
    correct = random.random(examples) < np.where(member, *right)
    wrong = (labels + random.integers(1, classes, size=examples)) % classes
    logits = with_log_odds(odds, np.where(correct, labels, wrong), classes, random)
    return Outputs(logits.astype(np.float32), labels, member)


def untrained(examples: int = 4000, classes: int = 10, seed: int = 0) -> Outputs:
    """Logits that know of neither labels nor membership."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(examples, classes)).astype(np.float32)
    return Outputs(logits, random.integers(classes, size=examples), split(examples, seed))


def changed(outputs: Outputs, **arrays: Any) -> Outputs:
    """`outputs` with other logits, labels or member."""
    return Outputs(**{"logits": outputs.logits, "labels": outputs.labels, "member": outputs.member, **arrays})


def trained(
    outputs: Outputs, *, test_acc: float = 0.8, true_labels: NDArray[np.int64] | None = None, seed: int = 0,
    validation: NDArray[np.bool_] | None = None,
) -> Trained:  # fmt: skip
    """The model of `outputs`, right about `test_acc` of 90 random test examples; its labels are true by default."""
    test = np.random.default_rng(seed).normal(size=(90, outputs.logits.shape[1])).astype(np.float32)
    top, right = test.argmax(axis=1), np.arange(90) < round(test_acc * 90)
    none = np.zeros(len(outputs), np.bool_)
    return Trained(
        outputs.logits, outputs.labels, outputs.labels if true_labels is None else true_labels, outputs.member,
        none if validation is None else validation, test, np.where(right, top, (top + 1) % test.shape[1]),
    )  # fmt: skip
