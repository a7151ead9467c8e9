"""What losses leave that game a label-free confidence attack, made up.

There are two of each kind, and the second was kept out of setting the rules' thresholds. These are the outputs that the
losses in tests/gaming aim at; a small network trained for a second does not reach them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attack_arrays import changed, model

from mlsbench.scoring.attacks import Outputs

Made = Callable[[int], tuple[Outputs, tuple[float, ...]]]

EXAMPLES = 2000
RISING = (0.5, 0.5, 0.51, 0.51, 0.52, 0.53, 0.54, 0.55, 0.57, 0.58, 0.59, 0.6, 0.61, 0.62, 0.62, 0.63, 0.63, 0.63, 0.64)


def _mixture(outputs: Outputs, other: Outputs, share: float, seed: int) -> Outputs:
    """`outputs` with a share of its examples from `other`, a model of the same members and labels."""
    taken = np.random.default_rng(seed).random(len(outputs)) < share
    return changed(outputs, logits=np.where(taken[:, None], other.logits, outputs.logits))


def _plain(outputs: Outputs) -> tuple[Outputs, tuple[float, ...]]:
    return outputs, ()


INVERTED: tuple[Made, Made] = (
    lambda seed: _plain(model((1, 0.5), (3, 2), right=(1, 0.75), seed=seed, examples=EXAMPLES)),
    lambda seed: _plain(_mixture(model((5, 2), (4, 3), right=(1, 0.8), seed=seed, examples=EXAMPLES),
                                 model((0.3, 0.3), (4, 3), right=(1, 0.8), seed=seed, examples=EXAMPLES), 0.7, seed)),
)  # fmt: skip
PINNED: tuple[Made, Made] = (
    lambda seed: _plain(model((0.5, 0.05), (0.5, 1.5), right=(1, 0.8), seed=seed, examples=EXAMPLES)),
    lambda seed: _plain(model((3.9, 0.2), (4, 2.5), right=(1, 0.9), classes=20, seed=seed, examples=EXAMPLES)),
)
LABEL_BLIND: tuple[Made, Made] = (
    lambda seed: _plain(model((8, 2), (8, 2), right=(1, 0.65), seed=seed, examples=EXAMPLES)),
    lambda seed: _plain(model((12, 3), (12, 3), right=(0.98, 0.75), classes=20, seed=seed, examples=EXAMPLES)),
)
SATURATED: tuple[Made, Made] = (
    lambda seed: _plain(model((60, 20), (52, 20), right=(1, 0.8), seed=seed, examples=EXAMPLES)),
    lambda seed: _plain(model((300, 90), (40, 30), right=(1, 0.6), classes=20, seed=seed, examples=EXAMPLES)),
)
LATE: tuple[Made, Made] = (
    lambda seed: (model((4, 2), (4, 2), right=(1, 0.8), seed=seed, examples=EXAMPLES), (*RISING, 0.5)),
    lambda seed: (model((4, 2), (4, 2), right=(1, 0.8), seed=seed, examples=EXAMPLES), (*RISING[:-1], 0.49, 0.45)),
)

KINDS: dict[str, tuple[Made, Made]] = {
    "inverted": INVERTED, "pinned": PINNED, "label-blind": LABEL_BLIND, "saturated": SATURATED, "late change": LATE,
}  # fmt: skip
