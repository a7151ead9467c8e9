"""The files that a job leaves beside its record, and what attacks read of them: `scores.npz` and `curve.csv`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.scoring.archive import read_arrays
from mlsbench.scoring.record import read_whole
from mlsbench.scoring.trained import Trained, from_kept

SCORES, WEIGHTS, CURVE = "scores.npz", "weights.safetensors", "curve.csv"
CURVE_BYTES = 1 << 24  # 100,000 epochs
ARRAYS = ("train_logits", "test_logits", "member")
PERHAPS = ("labels", "validation")  # as trained, if some are wrong; what was for validation, if anything was
DRAWN = ("epoch", "test_acc", "member_acc", "mia_auc")

TrainingCurve = Mapping[str, tuple[float | None, ...]]  # by column of DRAWN


def read_scores(folder: Path, labels: NDArray[np.int64], test_labels: NDArray[np.int64], classes: int) -> Trained:
    """What a job kept of its model. labels: int64 [N], test_labels: int64 [M], those of the dataset.

    UserError, saying why, if the file is unfit.
    """
    path = folder / SCORES
    try:
        arrays = read_arrays(path, ARRAYS, PERHAPS)
        for name, count in (("train_logits", len(labels)), ("test_logits", len(test_labels))):
            logits = arrays[name]
            if logits.dtype != np.float32 or logits.shape != (count, classes) or not np.isfinite(logits).all():
                raise ValueError(f"{name} are not finite float32 numbers of the shape {[count, classes]}")
        for name, dtype in (("member", np.bool_), ("labels", np.int64), ("validation", np.bool_)):
            array = arrays.get(name)
            if array is not None and (array.dtype != dtype or array.shape != labels.shape):
                raise ValueError(f"{name} must be one {np.dtype(dtype).name} for each of {len(labels)} examples")
        model = from_kept(arrays, labels, test_labels)
        if model.labels.min() < 0 or model.labels.max() >= classes:
            raise ValueError(f"labels has values outside 0 to {classes - 1}")
        if (model.validation & (model.member | model.mislabelled)).any():
            raise ValueError("what is for validation is neither a member nor mislabelled")
        return model
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be audited: {error}") from error


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
