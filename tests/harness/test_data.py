"""A job gets exactly the dataset that the specification names, or its user is told what is wrong and what to run."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.harness.data import (
    DamagedData,
    assemble,
    data_folder,
    data_keys,
    enlarge,
    fingerprint,
    identified,
    load,
    prepared_order,
)
from mlsbench.tasks import Dataset, get_task

SPEC = get_task("security-membership-inference-defense").spec
REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def small_arrays() -> dict[str, NDArray[Any]]:
    """A dataset of 20 + 6 images of 4×4×3 pixels in five classes, in prepared order."""
    random = np.random.default_rng(7)
    arrays: dict[str, NDArray[Any]] = {}
    for split, count in (("train", 20), ("test", 6)):
        images = random.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
        labels = random.integers(0, 5, count, dtype=np.int64)
        order = prepared_order(images, labels)
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images[order], labels[order]
    return arrays


def small_spec() -> Dataset:
    arrays = small_arrays()
    return Dataset(
        shape=(4, 4, 3),
        classes=5,
        train=20,
        test=6,
        train_fingerprint=fingerprint(data_keys(arrays["train_images"], arrays["train_labels"])),
        test_fingerprint=fingerprint(data_keys(arrays["test_images"], arrays["test_labels"])),
        mean=(0.5, 0.5, 0.5),
        std=(0.3, 0.3, 0.3),
    )


def save(folder: Path, **changes: NDArray[Any]) -> Path:
    """small.npz with the small dataset, some of its arrays replaced."""
    path = folder / "small.npz"
    np.savez(path, **{**small_arrays(), **changes})  # type: ignore[arg-type]
    return path


def test_a_data_key_is_the_digest_of_the_pixels_by_rows_and_then_the_label() -> None:
    images = np.arange(2 * 2 * 3 * 1, dtype=np.uint8).reshape(2, 2, 3, 1)
    keys = data_keys(images, np.array([7, 255]))
    assert keys == [
        hashlib.sha256(bytes([0, 1, 2, 3, 4, 5, 7])).hexdigest(),
        hashlib.sha256(bytes([6, 7, 8, 9, 10, 11, 255])).hexdigest(),
    ]


def test_a_data_key_does_not_depend_on_the_memory_layout() -> None:
    images = small_arrays()["train_images"]
    labels = small_arrays()["train_labels"]
    planes_first = images.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)
    assert data_keys(planes_first, labels) == data_keys(images, labels)


def test_a_fingerprint_is_the_digest_of_the_keys_in_order() -> None:
    assert fingerprint(["ab", "cd"]) == hashlib.sha256(b"abcd").hexdigest() != fingerprint(["cd", "ab"])


def test_enlarged_images_repeat_each_pixel() -> None:
    images = np.array([[[[1], [2]], [[3], [4]]]], dtype=np.uint8)
    assert enlarge(images, 4)[0, :, :, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_images_that_are_no_squares_keep_their_form_and_rows_of_a_table_their_size() -> None:
    images = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    assert enlarge(images, 4)[0, :, :, 0].tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2
    assert enlarge(images.reshape(1, 1, 6, 1), 1).tolist() == images.reshape(1, 1, 6, 1).tolist()


@pytest.mark.parametrize("size", [9, 4, 12])
def test_images_grow_by_whole_numbers_only(size: int) -> None:
    with pytest.raises(ValueError, match=f"height 8 do not become {size} high"):
        enlarge(np.zeros((1, 8, 8, 1), dtype=np.uint8), size)


def test_a_prepared_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    save(tmp_path)
    prepared = load("small", small_spec(), tmp_path)
    for name, array in small_arrays().items():
        np.testing.assert_array_equal(getattr(prepared, name), array)
    assert prepared.train_keys == data_keys(prepared.train_images, prepared.train_labels)


def test_the_fingerprint_joins_those_of_both_splits(tmp_path: Path) -> None:
    save(tmp_path)
    spec = small_spec()
    joined = hashlib.sha256((spec.train_fingerprint + spec.test_fingerprint).encode()).hexdigest()
    assert load("small", spec, tmp_path).fingerprint == joined


def test_fewer_members_keep_the_first_examples_as_the_pool_and_change_the_fingerprint(tmp_path: Path) -> None:
    save(tmp_path)
    whole, part = load("small", small_spec(), tmp_path), load("small", small_spec(), tmp_path, members=3)
    np.testing.assert_array_equal(part.train_images, whole.train_images[:6])
    np.testing.assert_array_equal(part.train_labels, whole.train_labels[:6])
    np.testing.assert_array_equal(part.test_images, whole.test_images)
    assert part.train_keys == whole.train_keys[:6]
    assert part.fingerprint != whole.fingerprint


def test_as_many_members_as_half_the_training_set_change_nothing(tmp_path: Path) -> None:
    save(tmp_path)
    whole = load("small", small_spec(), tmp_path)
    assert load("small", small_spec(), tmp_path, members=10).fingerprint == whole.fingerprint


@pytest.mark.parametrize("members", [0, -1, 11])
def test_a_number_of_members_that_does_not_fit_is_refused(tmp_path: Path, members: int) -> None:
    save(tmp_path)
    with pytest.raises(UserError, match=f"members={members} does not fit: small has room for 1 to 10 members"):
        load("small", small_spec(), tmp_path, members=members)


def test_a_missing_file_is_answered_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*small\.npz.*`mlsbench data prepare small`"):
        load("small", small_spec(), tmp_path)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"train_images": np.zeros((20, 4, 4, 1), np.uint8)}, r"train_images is uint8 \[20, 4, 4, 1\] instead of"),
        ({"train_images": np.zeros((20, 4, 4, 3), np.float32)}, "train_images is float32"),
        ({"test_labels": np.zeros(6, np.int32)}, "test_labels is int32"),
        ({"test_labels": np.zeros(5, np.int64)}, r"test_labels is int64 \[5\] instead of int64 \[6\]"),
        ({"train_labels": np.full(20, 5)}, "train_labels has values outside 0 to 4"),
        ({"train_labels": np.full(20, -1)}, "train_labels has values outside 0 to 4"),
        ({"train_labels": np.zeros(20, np.int64)}, "the train split has fingerprint"),
        ({"test_images": small_arrays()["test_images"][::-1]}, "the test split has fingerprint"),
        ({"test_images": np.array([None])}, "Object arrays cannot be loaded"),
    ],
)
def test_a_file_of_other_arrays_is_refused_by_what_differs(
    tmp_path: Path, changes: dict[str, NDArray[Any]], difference: str
) -> None:
    save(tmp_path, **changes)
    with pytest.raises(DamagedData, match=f"{difference}.*`mlsbench data prepare small`") as caught:
        load("small", small_spec(), tmp_path)
    assert caught.value.reason in str(caught.value)


def test_a_file_that_lacks_an_array_is_refused(tmp_path: Path) -> None:
    arrays = small_arrays()
    np.savez(tmp_path / "small.npz", train_images=arrays["train_images"], test_images=arrays["test_images"])
    with pytest.raises(DamagedData, match="it lacks train_labels, test_labels"):
        load("small", small_spec(), tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 30, 400, 2000, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    path = save(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedData, match="`mlsbench data prepare small`"):
        load("small", small_spec(), tmp_path)


def test_a_changed_byte_anywhere_is_refused_or_without_effect(tmp_path: Path) -> None:
    path = save(tmp_path)
    content, spec = path.read_bytes(), small_spec()
    whole, refused = load("small", spec, tmp_path), 0
    for position in range(0, len(content), 3):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x41]) + content[position + 1 :])
        try:
            prepared = load("small", spec, tmp_path)
        except DamagedData:
            refused += 1
        else:
            np.testing.assert_array_equal(prepared.train_images, whole.train_images)
            assert prepared.train_keys == whole.train_keys
    assert refused > len(content) // 6


def test_a_single_array_in_place_of_an_archive_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (tmp_path / "small.npz").write_bytes(buffer.getvalue())
    with pytest.raises(DamagedData, match=r"it is no \.npz archive"):
        load("small", small_spec(), tmp_path)


def test_a_folder_in_place_of_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "small.npz").mkdir()
    with pytest.raises(DamagedData, match="Is a directory"):
        load("small", small_spec(), tmp_path)


def test_the_data_folder_is_chosen_by_the_environment_then_lies_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("MLSBENCH_DATA", raising=False)
    assert data_folder() == Path("/home/someone/.cache/mlsbench/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert data_folder() == Path("/cache/mlsbench/data")
    monkeypatch.setenv("MLSBENCH_DATA", "~/data")
    assert data_folder() == Path("/home/someone/data")


def test_data_is_read_from_the_data_folder_unless_another_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSBENCH_DATA", str(tmp_path))
    save(tmp_path)
    assert load("small", small_spec()).name == "small"


def test_digits_are_built_in_and_are_those_of_the_specification(tmp_path: Path) -> None:
    prepared = load("digits", SPEC.datasets["digits"], tmp_path)
    assert prepared.train_images.shape == (1437, 8, 8, 1)
    assert prepared.test_images.shape == (360, 8, 8, 1)
    assert list(tmp_path.iterdir()) == []


def test_digits_hold_every_fifth_example_in_prepared_order_for_the_test() -> None:
    prepared = load("digits", SPEC.datasets["digits"])
    keys = sorted(prepared.train_keys + data_keys(prepared.test_images, prepared.test_labels))
    assert data_keys(prepared.test_images, prepared.test_labels) == keys[::5]


def test_the_specification_normalizes_digits_by_their_training_set() -> None:
    spec = SPEC.datasets["digits"]
    images = load("digits", spec).train_images / 255
    assert (images.mean(), images.std()) == pytest.approx((spec.mean[0], spec.std[0]), abs=5e-5)


def real_cifar(name: str) -> dict[str, NDArray[Any]]:
    """The four arrays of CIFAR from the image sheets beside the repository; the test is skipped without them."""
    folder = REAL_DATA / name
    if not folder.is_dir():
        pytest.skip(f"the real data are not beside the repository: no {folder}")
    from PIL import Image

    arrays: dict[str, NDArray[Any]] = {}
    for split in ("train", "test"):
        sheets = []
        for path in sorted(folder.glob(f"{split}-*.webp")):
            with Image.open(path) as image:
                sheet = np.asarray(image.convert("RGB"))
            rows, columns = sheet.shape[0] // 32, sheet.shape[1] // 32
            sheets.append(sheet.reshape(rows, 32, columns, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3))
        arrays[f"{split}_images"] = np.concatenate(sheets)
        arrays[f"{split}_labels"] = np.load(folder / f"{split}_labels.npy").astype(np.int64)
    return arrays


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_real_cifar_is_the_dataset_of_the_specification(name: str) -> None:
    spec, arrays = SPEC.datasets[name], real_cifar(name)
    prepared = assemble(name, spec, arrays)
    values = np.arange(256) / 255
    for channel in range(3):
        shares = np.bincount(prepared.train_images[..., channel].ravel(), minlength=256) / (50_000 * 32 * 32)
        mean = shares @ values
        assert mean == pytest.approx(spec.mean[channel], abs=6e-5)
        assert np.sqrt(shares @ (values - mean) ** 2) == pytest.approx(spec.std[channel], abs=6e-5)


def test_assembled_data_are_checked_without_a_file() -> None:
    spec = small_spec()
    assert assemble("small", spec, small_arrays()).train_keys == sorted(
        data_keys(small_arrays()["train_images"], small_arrays()["train_labels"])
    )


def unknown_spec() -> Dataset:
    return small_spec().model_copy(update={"train_fingerprint": None, "test_fingerprint": None})


def test_data_without_fingerprints_are_identified_by_what_is_read(tmp_path: Path) -> None:
    save(tmp_path)
    found = identified("small", unknown_spec(), tmp_path)
    assert found == small_spec()
    assert identified("nowhere", small_spec(), tmp_path) == small_spec()
    assert load("small", unknown_spec(), tmp_path).whole == load("small", small_spec(), tmp_path, members=3).whole


def test_other_data_without_fingerprints_are_other_data(tmp_path: Path) -> None:
    save(tmp_path)
    first = load("small", unknown_spec(), tmp_path)
    save(tmp_path, test_images=small_arrays()["test_images"][::-1], test_labels=small_arrays()["test_labels"][::-1])
    with pytest.raises(DamagedData, match="the test split is not sorted by data key"):
        load("small", unknown_spec(), tmp_path)
    changed = small_arrays()["train_labels"] * 0
    order = prepared_order(small_arrays()["train_images"], changed)
    save(tmp_path, train_images=small_arrays()["train_images"][order], train_labels=changed)
    assert load("small", unknown_spec(), tmp_path).whole != first.whole


def test_a_smaller_pool_has_a_fingerprint_of_its_own_within_the_same_dataset(tmp_path: Path) -> None:
    save(tmp_path)
    whole, smaller = (load("small", small_spec(), tmp_path, members) for members in (None, 4))
    assert whole.fingerprint == whole.whole == smaller.whole != smaller.fingerprint
