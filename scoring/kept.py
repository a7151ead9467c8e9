"""The files that a job leaves beside its record, and what attacks read of them: `scores.npz` and `curve.csv`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.scoring.archive import read_arrays
from mlsbench.scoring.attacks import Outputs
from mlsbench.scoring.record import read_whole

SCORES, WEIGHTS, CURVE = "scores.npz", "weights.safetensors", "curve.csv"
CURVE_BYTES = 1 << 24  # 100,000 epochs
ARRAYS = ("train_logits", "test_logits", "member")
CANARY_ARRAYS = ("canary", "labels")  # there if the job had canaries; `labels` are as trained
DRAWN = ("epoch", "test_acc", "member_acc", "mia_auc")

TrainingCurve = Mapping[str, tuple[float | None, ...]]  # by column of DRAWN


class KeptScores(NamedTuple):
    """A model's outputs on the pool, test logits [M, K] and the canaries, bool [N]; None without any."""

    model: Outputs
    test_logits: NDArray[np.float32]
    canary: NDArray[np.bool_] | None


def read_scores(folder: Path, labels: NDArray[np.int64], test: tuple[int, int]) -> KeptScores:
    """What a job kept. The model's labels are those it was trained with: `labels`, int [N], but for canaries.

    test: how many test examples there are, and how many classes. UserError, saying why, if the file is unfit.
    """
    path = folder / SCORES
    try:
        arrays = read_arrays(path, ARRAYS, CANARY_ARRAYS)
        for name, shape in (("train_logits", (len(labels), test[1])), ("test_logits", test)):
            logits = arrays[name]
            if logits.dtype != np.float32 or logits.shape != shape or not np.isfinite(logits).all():
                raise ValueError(f"{name} are not finite float32 numbers of the shape {list(shape)}")
        trained, canary = labels, None
        if more := [arrays[name] for name in CANARY_ARRAYS if name in arrays]:
            if len(more) < len(CANARY_ARRAYS):
                raise ValueError("canary and labels come together")
            canary, trained = _checked(labels, *more)
        return KeptScores(Outputs(arrays["train_logits"], trained, arrays["member"]), arrays["test_logits"], canary)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be audited: {error}") from error


def _checked(
    honest: NDArray[np.int64], canary: NDArray[Any], labels: NDArray[Any]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    if canary.dtype != np.bool_ or labels.dtype != np.int64 or not canary.shape == labels.shape == honest.shape:
        raise ValueError(f"canary and labels must be one bool and one int64 for each of {len(honest)} examples")
    if not canary.any() or canary.all() or not np.array_equal(labels != honest, canary):
        raise ValueError("its labels must be wrong at canaries and nowhere else")
    return canary, labels


def read_curve(folder: Path) -> tuple[float, ...]:
    """mia_auc after each epoch; empty if the file or the column is missing."""
    try:
        return tuple(float(row["mia_auc"]) for row in _rows(folder))
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        return ()


def read_training_curve(folder: Path) -> TrainingCurve:
    """The columns of `curve.csv` that are drawn, None where one has no number; empty if there is nothing to draw."""
    try:
        rows = _rows(folder)
        curve = {name: tuple(_finite(row.get(name)) for row in rows) for name in DRAWN}
    except (OSError, ValueError, csv.Error):
        return {}
    return curve if rows and None not in curve["epoch"] else {}


def _rows(folder: Path) -> list[dict[str, str]]:
    text = read_whole(folder / CURVE, CURVE_BYTES).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _finite(text: str | None) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None
