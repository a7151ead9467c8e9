"""A table comes from the user's own file, in any form in which such files go round, or the user learns what to mend."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.harness.data import data_keys, load
from mlsbench.harness.images import Images
from mlsbench.harness.prepare import prepare, status
from mlsbench.harness.standin import FLIPPED, purchase_standin
from mlsbench.tasks import Dataset, get_task

COUNT, FEATURES, CLASSES = 25, 40, 6
RANDOM = np.random.default_rng(3)
ROWS = RANDOM.integers(0, 2, (COUNT, FEATURES), dtype=np.uint8)
LABELS = RANDOM.integers(0, CLASSES, COUNT, dtype=np.int64)
TABLE = Dataset(
    shape=(1, FEATURES, 1), classes=CLASSES, train=20, test=5, mean=(0.0,), std=(1 / 255,)
)  # as the catalogue has PURCHASE-100 and TEXAS-100
PURCHASE = get_task("security-membership-inference-defense").spec.datasets["purchase100"]


def save(path: Path, **changes: NDArray[Any] | None) -> Path:
    """An .npz file of the table, some of its arrays replaced or, by None, left out."""
    arrays = {"features": ROWS, "labels": LABELS, **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"labels": np.eye(CLASSES)[LABELS]},
        {"labels": np.eye(CLASSES, dtype=np.uint8)[LABELS]},
        {"features": ROWS.astype(np.float32)},
        {"features": ROWS.astype(bool), "labels": LABELS.astype(np.int32)},
        {"features": ROWS[::-1], "labels": LABELS[::-1]},
    ],
)
def test_every_form_of_a_table_gives_the_same_data(tmp_path: Path, changes: dict[str, NDArray[Any]]) -> None:
    plain = load("mine", TABLE, prepare("mine", TABLE, tmp_path / "a", save(tmp_path / "plain.npz")).parent)
    again = load("mine", TABLE, prepare("mine", TABLE, tmp_path / "b", save(tmp_path / "x.npz", **changes)).parent)
    assert again.whole == plain.whole


def test_every_fifth_example_by_data_key_is_a_test_example_and_none_is_lost(tmp_path: Path) -> None:
    prepare("mine", TABLE, tmp_path, save(tmp_path / "own.npz"))
    data = load("mine", TABLE, tmp_path)
    keys = sorted(data_keys(ROWS[:, None, :, None], LABELS))
    assert data_keys(data.test_images, data.test_labels) == keys[::5]
    assert data.train_keys == [key for i, key in enumerate(keys) if i % 5]


def test_a_models_inputs_are_exactly_the_features(tmp_path: Path) -> None:
    prepare("mine", TABLE, tmp_path, save(tmp_path / "own.npz"))
    rows = load("mine", TABLE, tmp_path).train_images
    for dataset in (TABLE, PURCHASE):
        images = Images(torch.from_numpy(rows), dataset.mean, dataset.std, torch.device("cpu"))
        assert images.plain(slice(None)).tolist() == rows.transpose(0, 3, 1, 2).astype(float).tolist()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"labels": None}, "it lacks labels"),
        ({"features": None, "labels": None, "data": ROWS}, "it lacks features, labels"),
        ({"features": ROWS.astype(str)}, r"features is <U\d+ \[25, 40\] instead of numbers \[25, 40\]"),
        ({"features": ROWS[:, :-1]}, r"features is uint8 \[25, 39\] instead of"),
        ({"features": ROWS[:-1]}, r"features is uint8 \[24, 40\] instead of"),
        ({"features": ROWS * 2}, "features holds other values than 0 and 1"),
        ({"features": ROWS - 0.5}, "features holds other values than 0 and 1"),
        ({"features": np.full(ROWS.shape, np.nan)}, "features holds other values than 0 and 1"),
        ({"labels": LABELS + 1}, "labels goes from 1 to 6 instead of 0 to 5"),
        ({"labels": LABELS - 1}, "labels goes from -1 to 4 instead of 0 to 5"),
        ({"labels": LABELS + 0.5}, r"labels is float64 \[25\] instead of integers \[25\] or one-hot \[25, 6\]"),
        ({"labels": LABELS[:-1]}, r"labels is int64 \[24\] instead of"),
        ({"labels": np.zeros((COUNT, CLASSES))}, "labels has rows that are not one-hot"),
        ({"labels": np.ones((COUNT, CLASSES))}, "labels has rows that are not one-hot"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, changes: dict[str, NDArray[Any]], fault: str) -> None:
    path = save(tmp_path / "own.npz", **changes)
    with pytest.raises(UserError, match=rf"own\.npz is no mine: {fault}"):
        prepare("mine", TABLE, tmp_path / "out", path)
    assert not (tmp_path / "out").exists()


class Trap:
    """Its unpickling leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_pickled_arrays_are_refused_unread(tmp_path: Path) -> None:
    trapped = np.array([Trap(tmp_path / "mark")] * COUNT, dtype=object)
    np.savez(tmp_path / "own.npz", features=ROWS, labels=trapped, allow_pickle=True)
    (tmp_path / "file.npz").write_bytes(pickle.dumps(Trap(tmp_path / "mark")))
    for file in ("own.npz", "file.npz"):
        with pytest.raises(UserError, match=rf"{file} is no mine: .*allow_pickle"):
            prepare("mine", TABLE, tmp_path / "out", tmp_path / file)
    assert not (tmp_path / "mark").exists()


def test_a_file_that_is_not_there_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*nowhere\.npz"):
        prepare("mine", TABLE, tmp_path, tmp_path / "nowhere.npz")
    with pytest.raises(UserError, match=r"there is no file .*mine\.npz"):
        prepare("mine", TABLE, tmp_path, tmp_path)


def test_without_a_file_its_owner_is_told_what_it_must_hold(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data prepare purchase100 --from FILE\.npz` .* features \[197324, 600\] of 0"):
        prepare("purchase100", PURCHASE, tmp_path)
    (missing,) = status({"purchase100": PURCHASE}, tmp_path)
    assert missing.remedy == "mlsbench data prepare purchase100 --from FILE.npz"


def test_another_file_replaces_the_data_for_only_their_owner_knows_which_they_are(tmp_path: Path) -> None:
    prepare("mine", TABLE, tmp_path, save(tmp_path / "own.npz"))
    first = load("mine", TABLE, tmp_path)
    prepare("mine", TABLE, tmp_path, save(tmp_path / "other.npz", features=1 - ROWS))
    assert load("mine", TABLE, tmp_path).whole != first.whole


def test_the_stand_in_is_bits_near_those_of_their_class() -> None:
    data = purchase_standin()
    rows, labels = data["train_images"][:, 0, :, 0], data["train_labels"]
    assert (rows.shape, len(data["test_labels"])) == ((1920, 600), 480)
    assert np.isin(rows, (0, 1)).all()
    assert np.bincount(np.concatenate([labels, data["test_labels"]])).tolist() == [24] * 100
    centres = np.array([rows[labels == c].mean(axis=0) > 0.5 for c in range(100)])
    assert (rows != centres[labels]).mean() == pytest.approx(FLIPPED / 256, abs=0.02)
    assert (rows != centres[(labels + 1) % 100]).mean() == pytest.approx(0.5, abs=0.02)
