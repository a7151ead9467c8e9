"""Membership and a run's seeds follow from the key, the seed and the examples alone, as the design writes them down."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlsbench import UserError
from mlsbench.harness.split import RunSeeds, membership, read_key, reference_seed, run_seeds, validation

KEYS = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(10_000)]


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC as RFC 2104 defines it, for keys of at most 64 bytes."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + message).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).digest()


def key_file(folder: Path, content: bytes = bytes(range(32)), mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_the_written_out_hmac_is_the_one_of_rfc_4231() -> None:
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == expected


@pytest.mark.parametrize("seed", [42, 43, 44, 45, 0, 1])
def test_membership_is_the_lower_or_upper_half_of_the_written_out_hmac_values(seed: int) -> None:
    keys = KEYS[:101]  # an odd number: the middle one is no member
    values = [hmac_sha256(b"public", f"split:{seed // 2}:{key}".encode()) for key in keys]
    ranked = sorted(values)
    members = set(ranked[:50] if seed % 2 == 0 else ranked[51:])
    expected = [value in members for value in values]
    assert membership(b"public", seed, keys).tolist() == expected


def test_membership_of_ten_examples_has_not_changed() -> None:
    bits = "".join(str(int(member)) for member in membership(b"public", 42, KEYS[:10]))
    assert bits == "0100101110"


@pytest.mark.parametrize(("count", "even", "odd"), [(10_000, 5000, 5000), (9_999, 4999, 4999), (1, 0, 0), (0, 0, 0)])
def test_every_seed_has_as_many_members_half_rounded_down(count: int, even: int, odd: int) -> None:
    assert (membership(b"k", 6, KEYS[:count]).sum(), membership(b"k", 7, KEYS[:count]).sum()) == (even, odd)


def test_an_even_seed_and_the_next_are_complements() -> None:
    np.testing.assert_array_equal(membership(b"k", 42, KEYS), ~membership(b"k", 43, KEYS))


def test_an_example_keeps_its_membership_when_the_order_changes() -> None:
    order = np.random.default_rng(0).permutation(len(KEYS))
    shuffled = membership(b"k", 42, [KEYS[i] for i in order])
    np.testing.assert_array_equal(shuffled, membership(b"k", 42, KEYS)[order])


def test_equal_examples_at_the_middle_are_divided_by_position() -> None:
    assert membership(b"k", 2, [KEYS[0]] * 4).tolist() == [True, True, False, False]


@pytest.mark.parametrize(("key", "seed"), [(b"l", 42), (b"k", 44), (b"k", 45), (bytes(32), 42)])
def test_another_key_or_pair_of_seeds_agrees_on_half_of_the_examples(key: bytes, seed: int) -> None:
    agreement = np.mean(membership(b"k", 42, KEYS) == membership(key, seed, KEYS))
    assert abs(agreement - 0.5) < 4 * 0.5 / np.sqrt(len(KEYS))


def test_run_seeds_are_the_words_of_the_written_out_hmac() -> None:
    digest = hmac_sha256(b"public", b"run:42")
    words = [int(digest.hex()[16 * i : 16 * i + 16], 16) // 2 for i in range(4)]
    assert run_seeds(b"public", 42) == RunSeeds(*words)


@pytest.mark.parametrize(("count", "third"), [(9, 3), (10, 3), (2, 0)])
def test_validation_is_the_lower_third_of_the_written_out_hmac_values(count: int, third: int) -> None:
    keys = KEYS[:count]
    values = [hmac_sha256(b"public", f"validation:{key}".encode()) for key in keys]
    chosen = set(sorted(range(count), key=values.__getitem__)[:third])
    assert set(np.flatnonzero(validation(b"public", keys)).tolist()) == chosen


def test_who_is_for_validation_says_nothing_about_membership() -> None:
    apart, member = validation(b"k", KEYS), membership(b"k", 42, KEYS)
    assert abs(member[apart].mean() - 0.5) < 4 * 0.5 / np.sqrt(apart.sum())


def test_the_seed_of_references_is_the_first_63_bits_of_the_written_out_hmac_and_no_seed_of_the_run() -> None:
    found = reference_seed(b"public", 42)
    assert found == int(hmac_sha256(b"public", b"references:42").hex()[:16], 16) // 2
    assert found not in run_seeds(b"public", 42)


def test_run_seeds_differ_within_a_pair_of_seeds_and_between_keys() -> None:
    seeds = [seed for key in (b"k", b"l") for run in (42, 43) for seed in run_seeds(key, run)]
    assert len(set(seeds)) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_public_key_is_the_word_and_keeps_its_name() -> None:
    key = read_key("public")
    assert (key.secret, key.name, key.digest) == (b"public", "public", hashlib.sha256(b"public").hexdigest())


def test_a_key_file_is_named_by_the_digest_of_its_bytes(tmp_path: Path) -> None:
    key = read_key(str(key_file(tmp_path)))
    assert key.secret == bytes(range(32))
    assert key.name == key.digest == hashlib.sha256(bytes(range(32))).hexdigest()


def test_a_printed_key_does_not_show_its_secret(tmp_path: Path) -> None:
    key = read_key(str(key_file(tmp_path, b"the secret of thirty-two bytes.."[:32])))
    assert "secret of thirty" not in repr(key) + str(key)


@pytest.mark.parametrize(
    ("content", "found"), [(b"", "holds 0 bytes"), (bytes(31), "holds 31 bytes"), (bytes(33), "holds more bytes")]
)
def test_a_key_of_another_length_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    with pytest.raises(UserError, match=f"{found} instead of 32.*head -c 32 /dev/urandom > FILE; chmod 600 FILE"):
        read_key(str(key_file(tmp_path, content)))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o602, 0o644])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(UserError, match=f"has mode {mode:04o}.*chmod 600 FILE"):
        read_key(str(key_file(tmp_path, mode=mode)))


def test_a_link_to_a_key_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(key_file(tmp_path))
    with pytest.raises(UserError, match=r"symbolic link.*chmod 600 FILE"):
        read_key(str(link))


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a regular file.*chmod 600 FILE"):
        read_key(str(tmp_path))


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UserError, match="not a regular file"):
        read_key(str(tmp_path / "pipe"))


@pytest.mark.parametrize("name", ["missing", "", "nul\0byte"])
def test_a_key_that_cannot_be_opened_is_a_users_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"cannot be opened.*chmod 600 FILE"):
        read_key(f"{tmp_path}/{name}" if name else "")


def test_split_and_data_modules_leave_torch_and_scikit_learn_unimported() -> None:
    modules = "import mlsbench.harness.split, mlsbench.harness.data, mlsbench.harness.prepare, sys"
    check = "print([m for m in ('torch', 'torchvision', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{modules}; {check}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
