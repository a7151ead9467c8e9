"""The files that a job leaves for attacks: `scores.npz` and `curve.csv`."""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.scoring.attacks import Outputs

SCORES, CURVE = "scores.npz", "curve.csv"
ARRAYS = ("train_logits", "test_logits", "member")
CANARY_ARRAYS = ("canary", "labels")  # there if the job had canaries; `labels` are as trained
DRAWN = ("epoch", "test_acc", "member_acc", "mia_auc")

TrainingCurve = Mapping[str, tuple[float | None, ...]]  # by column of DRAWN


class KeptScores(NamedTuple):
    """A model's outputs on the pool, test logits [M, K] and the canaries, bool [N]; None without any."""

    model: Outputs
    test_logits: NDArray[np.float32]
    canary: NDArray[np.bool_] | None


def read_scores(folder: Path, labels: NDArray[np.int64]) -> KeptScores:
    """What a job kept. The model's labels are those it was trained with: `labels`, int [N], but for canaries.

    UserError, saying why, if the file is unfit.
    """
    path = folder / SCORES
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in ARRAYS}
            more = {name: archive[name] for name in CANARY_ARRAYS} if CANARY_ARRAYS[0] in archive.files else {}
        if arrays["test_logits"].ndim != 2 or not np.isfinite(arrays["test_logits"]).all():
            raise ValueError("test_logits are not finite numbers of the shape [examples, classes]")
        trained, canary = labels, None
        if more:
            trained, canary = _checked(labels, more["labels"], more["canary"])
        return KeptScores(Outputs(arrays["train_logits"], trained, arrays["member"]), arrays["test_logits"], canary)
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be audited: {error}") from error


def _checked(
    honest: NDArray[np.int64], labels: NDArray[Any], canary: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    if canary.dtype != np.bool_ or labels.dtype != np.int64 or not canary.shape == labels.shape == honest.shape:
        raise ValueError(f"canary and labels must be one bool and one int64 for each of {len(honest)} examples")
    if not canary.any() or canary.all() or not np.array_equal(labels != honest, canary):
        raise ValueError("its labels must be wrong at canaries and nowhere else")
    return labels, canary


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
