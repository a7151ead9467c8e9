"""The image is built from the files of the installed package and nothing else, whichever way it is installed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from docker.utils.build import exclude_paths

import mlsbench
from mlsbench.sandbox.image import context, package_files, pins, source_digest

CHECKOUT = Path(__file__).parents[2]
FOLDERS = {"tasks", "scoring", "sandbox", "baselines", "harness", "agents"}


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, with real folders."""
    for name, data in package_files().items():
        path = tmp_path / "mlsbench" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "mlsbench"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package out of a wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("src", *FOLDERS):
        leftovers = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(CHECKOUT / name, source / name, symlinks=True, ignore=leftovers)
    for name in ("pyproject.toml", "README.md", "LICENSE", "Dockerfile.gpu"):
        shutil.copy(CHECKOUT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", folder, source], check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site-packages")
    return folder / "site-packages" / "mlsbench"


def test_a_regular_installation_has_the_digest_of_the_checkout(installed: Path) -> None:
    assert package_files(installed) == package_files()


def test_a_regular_installation_holds_nothing_that_the_digest_leaves_out(installed: Path) -> None:
    held = {p.relative_to(installed).as_posix() for p in installed.rglob("*") if p.is_file()}
    assert held == set(package_files(installed))


def test_a_regular_installation_builds_from_the_same_archive(installed: Path) -> None:
    assert context(package_files(installed)) == context()


@pytest.mark.parametrize(
    "stray", ["__pycache__/plan.cpython-311.pyc", "harness/.plan.py.swp", "notes/idea.py", "x.txt"]
)
def test_what_is_not_installed_changes_no_digest(package: Path, stray: str) -> None:
    before = source_digest(package_files(package))
    (package / stray).parent.mkdir(exist_ok=True)
    (package / stray).write_text("stray")
    assert source_digest(package_files(package)) == before


@pytest.mark.parametrize(
    "name",
    ["harness/trainer.py", "cli/run.py", "Dockerfile.gpu", "tasks/security-membership-inference-defense/task.toml"],
)
def test_what_is_installed_changes_the_digest(package: Path, name: str) -> None:
    before = source_digest(package_files(package))
    with (package / name).open("a") as file:
        file.write("\n")
    assert source_digest(package_files(package)) != before


def test_a_renamed_module_changes_the_digest(package: Path) -> None:
    before = source_digest(package_files(package))
    (package / "harness" / "plan.py").rename(package / "harness" / "plans.py")
    assert source_digest(package_files(package)) != before


def test_the_archive_is_laid_out_like_a_checkout() -> None:
    names = set(members(context()))
    expected = {"pyproject.toml"}
    for name in package_files():
        expected.add(name if name == "Dockerfile.gpu" or name.split("/")[0] in FOLDERS else f"src/mlsbench/{name}")
    assert names == expected
    assert all((CHECKOUT / name).is_file() for name in names)


def test_the_archive_holds_plain_files_of_root_alone() -> None:
    assert {(m.isfile(), m.uid, m.gid, m.mode, m.mtime) for m in members(context()).values()} == {
        (True, 0, 0, 0o644, 0)
    }


def test_the_archive_names_each_dependency_at_the_version_of_this_machine() -> None:
    with tarfile.open(fileobj=io.BytesIO(context())) as tar:
        file = tar.extractfile("pyproject.toml")
        assert file is not None
        written = tomllib.loads(file.read().decode())["project"]["dependencies"]
    asked = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [requirement.partition(">=")[0] for requirement in asked]
    assert sorted(written) == sorted(f"{n}=={metadata.version(n).partition('+')[0]}" for n in names)


def test_pins_leave_out_builds_for_other_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2.13.0+cpu is no version that PyPI has, and its image shall have CUDA."""
    info = tmp_path / "torch-2.13.0+cpu.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cpu\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "torch==2.13.0" in pins()


def test_a_build_from_a_checkout_sees_what_the_archive_holds() -> None:
    patterns = (CHECKOUT / ".dockerignore").read_text().splitlines()
    lines = [line for line in patterns if line and not line.startswith("#")]
    seen = {n for n in exclude_paths(str(CHECKOUT), lines, "Dockerfile.gpu") if (CHECKOUT / n).is_file()}
    seen = {name for name in seen if not (CHECKOUT / name).is_symlink()}
    assert set(members(context())) <= seen
    assert not {n for n in seen if n.startswith((".", "runs", "docs", "tests")) or "__pycache__" in n} - {
        ".dockerignore"
    }


def test_the_digest_needs_neither_torch_nor_docker() -> None:
    """`mlsbench image check` and the job key ask for it often."""
    code = "import json, sys; from mlsbench.sandbox.image import source_digest; source_digest(); "
    code += "print(json.dumps([*sys.modules]))"
    environment = os.environ | {"PYTHONPATH": str(Path(mlsbench.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"torch", "docker", "numpy"} & set(json.loads(done.stdout))
