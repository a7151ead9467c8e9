"""The same dataset from any source becomes the same file, and a wrong source, a failure or Ctrl-C leaves none."""

from __future__ import annotations

import functools
import gzip
import hashlib
import pickle
import socket
import threading
import urllib.request
from collections.abc import Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torchvision.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST

from mlsbench import UserError
from mlsbench.harness.cifar import read_as as read_cifar
from mlsbench.harness.data import BUILT_IN, data_keys, fingerprint, load
from mlsbench.harness.idx import ORIGINS, STEMS, download
from mlsbench.harness.idx import read_file as read_idx
from mlsbench.harness.prepare import prepare, status
from mlsbench.harness.split import membership
from mlsbench.tasks import Dataset, get_task

SPEC = get_task("security-membership-inference-defense").spec
DEBIAN = ORIGINS["fashion_mnist"].debian_folder or Path()
RANDOM = np.random.default_rng(11)
RAW = {
    "train_images": RANDOM.integers(0, 256, (30, 28, 28), dtype=np.uint8),
    "train_labels": RANDOM.integers(0, 10, 30, dtype=np.uint8),
    "test_images": RANDOM.integers(0, 256, (8, 28, 28), dtype=np.uint8),
    "test_labels": RANDOM.integers(0, 10, 8, dtype=np.uint8),
}


def spec_of(raw: dict[str, NDArray[np.uint8]]) -> Dataset:
    """The specification of the dataset that consists of these images."""

    def of_split(split: str) -> str:
        images, labels = raw[f"{split}_images"], raw[f"{split}_labels"]
        return fingerprint(sorted(data_keys(images[..., np.newaxis], labels.astype(np.int64))))

    return Dataset(
        shape=(28, 28, 1),
        classes=10,
        train=len(raw["train_labels"]),
        test=len(raw["test_labels"]),
        train_fingerprint=of_split("train"),
        test_fingerprint=of_split("test"),
        mean=(0.5,),
        std=(0.3,),
    )


def idx(values: NDArray[np.uint8]) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(length.to_bytes(4, "big") for length in values.shape)
    return header + values.tobytes()


def write_idx(folder: Path, raw: dict[str, NDArray[np.uint8]], packed: bool) -> Path:
    folder.mkdir(parents=True)
    for array, stem in STEMS.items():
        content = idx(raw[array])
        (folder / (f"{stem}.gz" if packed else stem)).write_bytes(gzip.compress(content, 1) if packed else content)
    return folder


def shuffled(raw: dict[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
    mixed = {}
    for split in ("train", "test"):
        order = np.random.default_rng(5).permutation(len(raw[f"{split}_labels"]))
        for kind in ("images", "labels"):
            mixed[f"{split}_{kind}"] = raw[f"{split}_{kind}"][order]
    return mixed


def assert_same_data_and_split(name: str, spec: Dataset, folders: list[Path]) -> None:
    first = load(name, spec, folders[0])
    for folder in folders[1:]:
        other = load(name, spec, folder)
        assert other.fingerprint == first.fingerprint
        for array in ("train_images", "train_labels", "test_images", "test_labels"):
            np.testing.assert_array_equal(getattr(other, array), getattr(first, array))
        for seed in (42, 45):
            np.testing.assert_array_equal(
                membership(b"key", seed, other.train_keys), membership(b"key", seed, first.train_keys)
            )
    assert len({(folder / f"{name}.npz").read_bytes()[:200] for folder in folders}) == 1


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A loopback address that refuses connections; programs that ask for a proxy are sent there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", url)
        for exception in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(exception, raising=False)
        monkeypatch.setattr(urllib.request, "_opener", None)  # urllib remembers the proxy of its first call
        yield url


def test_packed_plain_and_shuffled_files_give_the_same_data_and_split(tmp_path: Path) -> None:
    sources = [
        write_idx(tmp_path / "packed", RAW, packed=True),
        write_idx(tmp_path / "plain", RAW, packed=False),
        write_idx(tmp_path / "shuffled", shuffled(RAW), packed=False),
    ]
    folders = [tmp_path / "out" / source.name for source in sources]
    for source, folder in zip(sources, folders, strict=True):
        assert prepare("fashion_mnist", spec_of(RAW), folder, source) == folder / "fashion_mnist.npz"
    assert_same_data_and_split("fashion_mnist", spec_of(RAW), folders)


def test_real_fashion_mnist_gives_the_same_data_and_split_from_any_source(tmp_path: Path) -> None:
    if not DEBIAN.is_dir():
        pytest.skip(f"Debian's dataset-fashion-mnist is not installed: no {DEBIAN}")
    spec = SPEC.datasets["fashion_mnist"]
    raw = {
        array: read_idx(DEBIAN / f"{stem}.gz", 3 if array.endswith("images") else 1) for array, stem in STEMS.items()
    }
    plain = write_idx(tmp_path / "plain" / "FashionMNIST" / "raw", raw, packed=False).parents[1]
    mixed = write_idx(tmp_path / "mixed", shuffled(raw), packed=False)
    prepare("fashion_mnist", spec, tmp_path / "a")
    prepare("fashion_mnist", spec, tmp_path / "b", plain)
    prepare("fashion_mnist", spec, tmp_path / "c", mixed)
    assert_same_data_and_split("fashion_mnist", spec, [tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert (raw["train_images"].mean() / 255, raw["train_images"].std() / 255) == pytest.approx(
        (spec.mean[0], spec.std[0]), abs=6e-5
    )


def test_a_prepared_file_that_is_right_is_left_alone(tmp_path: Path) -> None:
    path = prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", write_idx(tmp_path / "in", RAW, packed=True))
    before = path.stat().st_mtime_ns
    prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", tmp_path / "nowhere")
    assert path.stat().st_mtime_ns == before


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    source = write_idx(tmp_path / "in", RAW, packed=True)
    path = prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", source)
    path.write_bytes(path.read_bytes()[:-100])
    prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", source)
    load("fashion_mnist", spec_of(RAW), tmp_path / "out")


def test_others_can_read_a_prepared_file_if_the_umask_says_so(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    path = prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", write_idx(tmp_path / "in", RAW, packed=True))
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_an_interruption_at_any_step_leaves_nothing(tmp_path: Path, step: int) -> None:
    source, out = write_idx(tmp_path / "in", RAW, packed=True), tmp_path / "out"
    out.mkdir()

    def interrupt(name: str, done: int, total: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare("fashion_mnist", spec_of(RAW), out, source, interrupt)
    assert list(out.iterdir()) == []


def test_progress_counts_up_to_the_end(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    source = write_idx(tmp_path / "in", RAW, packed=True)
    prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", source, lambda *call: calls.append(call))
    assert [(done, total) for _, done, total in calls] == [(step, 4) for step in range(5)]


def test_another_dataset_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    changed = {**RAW, "train_labels": (RAW["train_labels"] + 1) % 10}
    source = write_idx(tmp_path / "in", changed, packed=True)
    with pytest.raises(UserError, match=r"not the task's fashion_mnist: the train split has fingerprint .* instead of"):
        prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", source)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = write_idx(tmp_path / "in", RAW, packed=True)
    with pytest.raises(UserError, match=r"cannot write .*Not a directory.*MLSBENCH_DATA"):
        prepare("fashion_mnist", spec_of(RAW), tmp_path / "file" / "data", source)


def test_a_source_without_the_files_is_answered_with_their_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no whole fashion_mnist: train-images-idx3-ubyte\[\.gz\]"):
        prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", tmp_path)


def test_images_without_their_labels_are_refused(tmp_path: Path) -> None:
    source = write_idx(tmp_path / "in", {**RAW, "test_labels": RAW["test_labels"][:-1]}, packed=False)
    with pytest.raises(UserError, match="8 test images and 7 labels"):
        prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", source)


VALID = idx(RAW["train_images"])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is no IDX file"),
        (VALID[:10], "is no IDX file"),
        (idx(RAW["train_labels"]), "is no IDX file of bytes in 3 dimensions"),
        (b"\0\0\x0d\x03" + VALID[4:], "is no IDX file of bytes"),
        (VALID[:-1], "23519 bytes of values; its header says 23520"),
        (VALID + b"\0", "23521 bytes of values; its header says 23520"),
        (VALID[:4] + b"\xff" * 12, "0 bytes of values; its header says"),
        (gzip.compress(VALID)[:-20], "cannot be read"),
        (gzip.compress(VALID)[:-8] + bytes(8), "cannot be read"),
        (b"\x1f\x8b" + bytes(50), "cannot be read"),
        (gzip.compress(VALID)[:12] + b"\xff" * 50, "cannot be read"),
    ],
)
def test_a_damaged_idx_file_is_a_users_mistake(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match=fault):
        read_idx(tmp_path / "file", dimensions=3)


def test_a_packed_file_that_is_whole_is_preferred_to_a_plain_one_that_was_cut_off(tmp_path: Path) -> None:
    source = write_idx(tmp_path / "in", RAW, packed=True)
    (source / STEMS["test_images"]).write_bytes(VALID[:100])
    prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", source)


def cifar_batch(count: int, labels: str) -> dict[str, Any]:
    return {"data": RANDOM.integers(0, 256, (count, 3 * 32 * 32), dtype=np.uint8), labels: list(range(count))}


def cifar_like(parent: type[CIFAR10], root: Path, labels: str) -> tuple[type[CIFAR10], dict[str, list[dict[str, Any]]]]:
    """A dataset in torchvision's format under `root`: its class, and what its training and test files hold."""
    batches = {"train": [cifar_batch(6, labels), cifar_batch(4, labels)], "test": [cifar_batch(3, labels)]}
    folder = root / parent.base_folder
    folder.mkdir(parents=True)

    def write(name: str, content: dict[str, Any]) -> list[str]:
        data = pickle.dumps(content, protocol=2)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data, usedforsecurity=False).hexdigest()]

    files = {split: [write(f"{split}_{i}", b) for i, b in enumerate(batches[split])] for split in batches}
    meta = {**parent.meta, "md5": write(parent.meta["filename"], {parent.meta["key"]: ["a", "b"]})[1]}
    changes = {"train_list": files["train"], "test_list": files["test"], "meta": meta}
    return type("Small", (parent,), changes), batches


@pytest.mark.parametrize(("parent", "labels"), [(CIFAR10, "labels"), (CIFAR100, "fine_labels")])
def test_cifar_is_read_from_torchvisions_files(tmp_path: Path, parent: type[CIFAR10], labels: str) -> None:
    small, batches = cifar_like(parent, tmp_path, labels)
    arrays = read_cifar("cifar", small, tmp_path, download=False)
    for split, count in (("train", 10), ("test", 3)):
        planes = np.concatenate([batch["data"] for batch in batches[split]]).reshape(count, 3, 32, 32)
        assert arrays[f"{split}_images"].dtype == np.uint8
        assert arrays[f"{split}_labels"].dtype == np.int64
        for channel in range(3):
            np.testing.assert_array_equal(arrays[f"{split}_images"][..., channel], planes[:, channel])
        assert arrays[f"{split}_labels"].tolist() == [label for batch in batches[split] for label in batch[labels]]


def test_cifar_that_was_altered_is_refused_before_it_is_read(tmp_path: Path) -> None:
    small, _ = cifar_like(CIFAR10, tmp_path, "labels")
    with (tmp_path / "cifar-10-batches-py" / "train_1").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UserError, match=r"holds no whole cifar10: .*cifar-10-batches-py must be https://.*tar\.gz"):
        read_cifar("cifar10", small, tmp_path, download=False)


@pytest.mark.parametrize(("name", "base"), [("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")])
def test_a_source_without_cifar_is_answered_with_what_it_must_hold(tmp_path: Path, name: str, base: str) -> None:
    with pytest.raises(UserError, match=f"holds no whole {name}: .*{base} must be https://.*, unpacked"):
        prepare(name, SPEC.datasets[name], tmp_path / "out", tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_failed_download_is_answered_with_the_way_round_it(tmp_path: Path, name: str, unreachable: str) -> None:
    with pytest.raises(UserError, match=f"download of {name} failed .*URLError.*data prepare {name} --from DIR"):
        prepare(name, SPEC.datasets[name], tmp_path)
    assert not list(tmp_path.rglob("*.npz")) + list(tmp_path.rglob("*.partial"))


def test_a_failed_download_of_fashion_mnist_names_debians_package(tmp_path: Path, unreachable: str) -> None:
    with pytest.raises(UserError, match=r"download of fashion_mnist failed .*dataset-fashion-mnist.*--from DIR"):
        download("fashion_mnist", FashionMNIST, tmp_path)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FashionMNIST]]:
    """FashionMNIST of thirty images, served on loopback from `tmp_path`/served."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    served = write_idx(tmp_path / "served", RAW, packed=True)
    files = [(f"{stem}.gz", (served / f"{stem}.gz").read_bytes()) for stem in STEMS.values()]
    checksums = [(name, hashlib.md5(content, usedforsecurity=False).hexdigest()) for name, content in files]
    monkeypatch.setattr(urllib.request, "_opener", None)  # urllib remembers the proxy of its first call
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(served))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/"
        yield type("Small", (FashionMNIST,), {"mirrors": [address], "resources": checksums})
        server.shutdown()
        thread.join()


def test_a_download_replaces_a_file_that_was_cut_off(tmp_path: Path, mirror: type[FashionMNIST]) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bcut off")
    assert download("fashion_mnist", mirror, tmp_path) == raw
    prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", tmp_path)


def test_a_failed_download_of_mnist_names_its_files_alone(tmp_path: Path, unreachable: str) -> None:
    with pytest.raises(UserError, match=r"download of mnist failed .*\. Get the four \.gz files from http") as caught:
        download("mnist", MNIST, tmp_path)
    assert "Debian" not in str(caught.value)


def test_mnist_is_read_from_files_that_torchvision_left(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", RAW, packed=False)
    assert prepare("mnist", spec_of(RAW), tmp_path / "out", tmp_path) == tmp_path / "out" / "mnist.npz"
    with pytest.raises(UserError, match=r"holds no whole fashion_mnist: .* or in its FashionMNIST/raw"):
        prepare("fashion_mnist", spec_of(RAW), tmp_path / "out", tmp_path)


def test_a_download_of_other_bytes_is_refused(tmp_path: Path, mirror: type[FashionMNIST]) -> None:
    (tmp_path / "served" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"download of fashion_mnist failed .*corrupted.*--from DIR"):
        download("fashion_mnist", mirror, tmp_path)


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_is_built_in_needs_no_preparation(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} is built in and needs no file"):
        prepare(name, SPEC.datasets["digits"], tmp_path)


def test_a_dataset_without_a_known_source_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"svhn has no known source; .* knows cifar10, cifar100, fashion_mnist, mnist, and tables"
    ):
        prepare("svhn", SPEC.datasets["cifar10"], tmp_path)


def test_status_tells_ready_missing_damaged_and_built_in_apart(tmp_path: Path) -> None:
    spec = spec_of(RAW)
    path = prepare("fashion_mnist", spec, tmp_path, write_idx(tmp_path / "in", RAW, packed=True))
    (tmp_path / "cifar10.npz").write_bytes(b"not an archive")
    datasets = {"fashion_mnist": spec, **{name: SPEC.datasets[name] for name in ("cifar10", "cifar100", "digits")}}
    ready, damaged, missing, built_in = status(datasets, tmp_path)
    assert ready[:4] == ("fashion_mnist", path, "ready", path.stat().st_size)
    assert damaged[:2] == ("cifar10", tmp_path / "cifar10.npz")
    assert damaged.state.startswith("damaged: ")
    assert "mlsbench" not in damaged.state
    assert missing == ("cifar100", tmp_path / "cifar100.npz", "missing", 0, "mlsbench data prepare cifar100")
    assert built_in == ("digits", None, "built in", 0, "")
