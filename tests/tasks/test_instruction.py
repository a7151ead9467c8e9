"""Claim: instruction.md, which is all that an author reads, says what task.toml says."""

from __future__ import annotations

import re

import pytest

from mlsbench.tasks import TaskFolder, get_task, list_tasks
from mlsbench.tasks.submission import MAX_BYTES

TASKS = [task for task in list_tasks() if get_task(task).spec.procedure == "loss"]


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> TaskFolder:
    """Each task whose submissions are losses."""
    return get_task(request.param)


@pytest.fixture(scope="module")
def text(task: TaskFolder) -> str:
    return task.instruction()


def cells(text: str, *first: str) -> list[str]:
    """The cells of the one table row that begins with `first`."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    found = [row for row in rows if row[: len(first)] == list(first)]
    assert len(found) == 1, f"{len(found)} rows begin with {first}"
    return found[0]


def test_it_names_the_file_the_class_and_the_markers(text: str, task: TaskFolder) -> None:
    contract = task.spec.contract
    for name in (contract.file, contract.class_name, contract.begin, contract.end):
        assert f"`{name}`" in text


def test_it_shows_each_method_with_its_arrays(text: str, task: TaskFolder) -> None:
    for name, method in task.spec.contract.methods.items():
        assert f"def {name}(self, {', '.join(a.name for a in method.inputs)}):" in text
        for array in (*method.inputs, *method.outputs):
            row = cells(text, f"`{array.name}`")
            assert row[1:3] == [array.dtype, f"[{', '.join(array.shape)}]"]
            assert ("gradient" in row[3]) == array.gradient


def test_it_lists_exactly_the_modules(text: str, task: TaskFolder) -> None:
    (line,) = (line for line in text.splitlines() if line.startswith("- Modules:"))
    assert tuple(re.findall(r"`([^`]+)`", line)) == task.spec.contract.modules


def test_it_names_every_limit(text: str, task: TaskFolder) -> None:
    limits = task.spec.limits
    assert f"{limits.call_seconds:g} s a call" in text
    assert f"{limits.start_seconds:g} s to import and construct" in text
    assert f"{limits.job_seconds:g} s for all calls of one training" in text
    assert f"{limits.memory_mib} MiB" in text
    assert f"up to {limits.log_kib} KiB" in text
    assert f"at most {MAX_BYTES // 1024} KiB" in text


def test_it_describes_every_protocol_with_its_values(text: str, task: TaskFolder) -> None:
    for name, protocol in task.spec.protocols.items():
        training = protocol.training
        fall = "cosine to 0"
        if training.schedule == "steps":
            fall = f"×0.1 at {' and '.join(map(str, training.milestones))}" if training.milestones else "constant"
        assert cells(text, f"`{name}`", protocol.title)[2:] == [
            str(training.epochs),
            f"{training.lr:g}, {fall}",
            str(training.weight_decay),
            str(training.batch),
            "yes" if training.augment else "no",
            ", ".join(map(str, protocol.seeds)),
        ]


def test_it_says_which_protocols_have_canaries_and_how_many(text: str, task: TaskFolder) -> None:
    counts = {name: protocol.canaries for name, protocol in task.spec.protocols.items() if protocol.canaries}
    assert bool(counts) == ("canar" in text)
    for name, count in counts.items():
        assert f"Under `{name}`, {count:,} examples" in text


def test_it_says_which_protocols_have_members_of_a_fixed_number(text: str, task: TaskFolder) -> None:
    counts = {name: protocol.members for name, protocol in task.spec.protocols.items() if protocol.members}
    if not counts:
        return
    assert counts == {"codaspy21": 10_000, "codaspy21-texas": 10_000, "codaspy21-purchase": 20_000}
    said = "Under `codaspy21` and `codaspy21-texas` a model has 10,000 members, under `codaspy21-purchase` 20,000."
    assert said in " ".join(text.split())


def test_it_says_where_the_optimizer_is_another(text: str, task: TaskFolder) -> None:
    spec, tables = task.spec, []
    for name, protocol in spec.protocols.items():
        for benchmark in protocol.benchmarks:
            table = spec.datasets[spec.benchmarks[benchmark].dataset].table
            assert spec.training(name, benchmark).optimizer == ("adam" if table else "sgd")
            tables.append(table)
    said = "SGD with momentum 0.9, without Nesterov" + ", but Adam where features are a table" * any(tables)
    assert said in " ".join(text.split())


def test_it_names_the_default_protocol(text: str, task: TaskFolder) -> None:
    assert f"The default is `{task.spec.default_protocol}`" in text


def test_it_describes_every_benchmark_of_the_default_protocol(text: str, task: TaskFolder) -> None:
    for name in task.spec.protocols[task.spec.default_protocol].benchmarks:
        benchmark = task.spec.benchmarks[name]
        data = task.spec.datasets[benchmark.dataset]
        validation = data.train // 3 if task.spec.parts == 3 else 0
        members = (data.train - validation) // 2
        sizes = (members, data.train - validation - members, validation, data.test)
        counts = [f"{size:,}" for size in sizes if size]
        image = f"{benchmark.size}×{benchmark.size}×{data.shape[2]}"
        expected = [f"`{benchmark.model}`", f"`{benchmark.dataset}`", image, str(data.classes), *counts]
        assert cells(text, f"`{name}`")[1:] == expected


def test_it_describes_every_benchmark_with_values_of_its_own(text: str, task: TaskFolder) -> None:
    for name in task.spec.protocols["smoke"].benchmarks:
        benchmark = task.spec.benchmarks[name]
        change = benchmark.training.model_dump(exclude_none=True)
        own = ", ".join(f"{key.replace('lr', 'learning rate')} {value:g}" for key, value in change.items())
        image = f"{benchmark.size}×{benchmark.size}×{task.spec.datasets[benchmark.dataset].shape[2]}"
        assert cells(text, f"`{name}`")[1:] == [f"`{benchmark.model}`", image, own or "as the protocol"]


def test_it_gives_the_sizes_of_the_digits(text: str, task: TaskFolder) -> None:
    digits = task.spec.datasets["digits"]
    counts = f"({digits.classes} classes, {digits.train:,} training and {digits.test} test images)"
    assert counts in " ".join(text.split())


def test_it_describes_every_metric_with_its_direction(text: str, task: TaskFolder) -> None:
    for metric in task.spec.metrics:
        row = cells(text, f"`{metric.name}`")
        assert row[1] == {"max": "higher", "min": "lower"}[metric.direction]
        assert row[2].startswith("primary") == metric.primary


def test_it_gives_the_thresholds_of_a_collapse(text: str, task: TaskFolder) -> None:
    validity = task.spec.validity
    row = cells(text, "`collapsed`")[1]
    assert f"max({validity.chance_factor:g} / K, 1 / K + {validity.sigmas:g} σ)" in row
    assert f"{validity.max_class_share:g} or more" in row


def test_it_explains_every_verdict(text: str) -> None:
    for status in ("scored", "collapsed", "failed", "rejected", "infra_failed", "cancelled"):
        assert cells(text, f"`{status}`")


def test_it_names_every_baseline(text: str, task: TaskFolder) -> None:
    for name, baseline in task.spec.baselines.items():
        assert cells(text, f"`{name}`")[1] == baseline.title
