"""Claim: the attack's instruction, which is all that an author reads, says what its task.toml says."""

from __future__ import annotations

import re

import pytest

from mlsbench.tasks import get_task
from mlsbench.tasks.submission import MAX_BYTES

TASK = get_task("security-membership-inference-attack")
SPEC, TEXT = TASK.spec, TASK.instruction()


def rows(*first: str) -> list[list[str]]:
    table = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ")]
    return [row for row in table if row[: len(first)] == list(first)]


def test_it_names_the_file_the_class_the_markers_and_the_modules() -> None:
    contract = SPEC.contract
    for name in (contract.file, contract.class_name, contract.begin, contract.end):
        assert f"`{name}`" in TEXT
    (line,) = (line for line in TEXT.splitlines() if line.startswith("- Modules:"))
    assert tuple(re.findall(r"`([^`]+)`", line)) == contract.modules


@pytest.mark.parametrize("name", SPEC.contract.methods)
def test_it_shows_each_method_with_its_arrays(name: str) -> None:
    method = SPEC.contract.methods[name]
    assert f"def {name}(self, {', '.join(array.name for array in method.inputs)}):" in TEXT
    for array in (*method.inputs, *method.outputs):
        assert [array.dtype, f"[{', '.join(array.shape)}]"] in [row[1:3] for row in rows(f"`{array.name}`")]


def test_it_names_every_limit() -> None:
    limits = SPEC.limits
    for said in (
        f"{limits.call_seconds:g} s a call", f"{limits.start_seconds:g} s to import and construct",
        f"{limits.job_seconds:g} s for all calls of one attack", f"{limits.memory_mib} MiB",
        f"up to {limits.log_kib} KiB", f"at most {MAX_BYTES // 1024} KiB",
    ):  # fmt: skip
        assert said in TEXT


def test_it_describes_every_protocol_and_benchmark_with_its_values() -> None:
    for name, protocol in SPEC.protocols.items():
        training, ((_, _, *values),) = protocol.training, rows(f"`{name}`")
        fall = "cosine to 0" if training.schedule == "cosine" else "×0.1 at 150 and 225"
        assert values == [
            str(training.epochs), f"{training.lr:g}, {fall}", f"{training.weight_decay:g}", str(training.batch),
            "yes" if training.augment else "no", ", ".join(map(str, protocol.seeds)),
            ", ".join(map(str, protocol.references)),
        ]  # fmt: skip
        for benchmark in protocol.benchmarks:
            given = SPEC.benchmarks[benchmark]
            dataset, ((_, *told),) = SPEC.datasets[given.dataset], rows(f"`{benchmark}`")
            half = f"{dataset.train // 2:,}"
            assert told == [
                f"`{given.model}`", f"`{given.dataset}`", f"{given.size}×{given.size}×{dataset.shape[2]}",
                str(dataset.classes), half, half,
            ]  # fmt: skip


def test_it_lists_exactly_the_metrics_and_the_baselines() -> None:
    for metric in SPEC.metrics:
        ((_, better, meaning),) = rows(f"`{metric.name}`")
        assert better == {"max": "higher", "min": "lower"}[metric.direction]
        assert meaning.startswith("primary: ") == metric.primary
    for name, baseline in SPEC.baselines.items():
        assert rows(f"`{name}`") == [[f"`{name}`", baseline.title]]
