"""The files that a job leaves for attacks: `scores.npz` and `curve.csv`."""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.scoring.attacks import Outputs

SCORES, CURVE = "scores.npz", "curve.csv"
ARRAYS = ("train_logits", "test_logits", "member")
DRAWN = ("epoch", "test_acc", "member_acc", "mia_auc")

TrainingCurve = Mapping[str, tuple[float | None, ...]]  # by column of DRAWN


def read_scores(folder: Path, labels: NDArray[np.int64]) -> tuple[Outputs, NDArray[np.float32]]:
    """The outputs on the pool, with `labels` int [N], and the test logits. UserError, saying why, if they are unfit."""
    path = folder / SCORES
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in ARRAYS}
        if arrays["test_logits"].ndim != 2 or not np.isfinite(arrays["test_logits"]).all():
            raise ValueError("test_logits are not finite numbers of the shape [examples, classes]")
        return Outputs(arrays["train_logits"], labels, arrays["member"]), arrays["test_logits"]
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be audited: {error}") from error


def read_curve(folder: Path) -> tuple[float, ...]:
    """mia_auc after each epoch; empty if the file or the column is missing."""
    try:
        with (folder / CURVE).open(newline="") as file:
            return tuple(float(row["mia_auc"]) for row in csv.DictReader(file))
    except (OSError, KeyError, TypeError, ValueError):
        return ()


def read_training_curve(folder: Path) -> TrainingCurve:
    """The columns of `curve.csv` that are drawn, None where one has no number; empty if there is nothing to draw."""
    try:
        with (folder / CURVE).open(newline="") as file:
            rows = list(csv.DictReader(file))
        curve = {name: tuple(_finite(row.get(name)) for row in rows) for name in DRAWN}
    except (OSError, ValueError, csv.Error):
        return {}
    return curve if rows and None not in curve["epoch"] else {}


def _finite(text: str | None) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None
