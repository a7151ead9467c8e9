"""Claim: a task.toml is taken literally, and one error names the file, every wrong key and what is wrong with it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from mlsbench import UserError
from mlsbench.tasks import TaskFolder, Training, get_task, load_task, open_task, spec_schema


def error_after(folder: Path, *changes: tuple[str, str]) -> str:
    """The message of loading the task in `folder` after replacing texts of its task.toml."""
    file = folder / "task.toml"
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        load_task(folder)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    return message


def test_the_task_that_ships_here_loads(task: TaskFolder) -> None:
    assert task.spec == load_task(task.path)
    assert task.spec.training("smoke", "vgg16bn-digits").lr == 0.01
    assert task.spec.primary.name == "privacy_score"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version = 1", "versoin = 1", ["versoin: unknown key", "version: missing"]),
        ("memory_mib = 2048", "memory_mb = 2048", ["limits.memory_mb: unknown key"]),
        ("call_seconds = 10", "call_seconds = -1", ["limits.call_seconds: ", "greater than 0, got -1"]),
        ('direction = "min"', 'direction = "down"', ["metrics[1].direction: ", "'max' or 'min', got 'down'"]),
        ("seeds = [42, 43, 44, 45]", 'seeds = [42, "b"]', ["protocols.paper.seeds[1]: ", "got 'b'"]),
        ("[baselines.erm]", '[baselines."E rm"]', ['baselines."E rm": ', "got 'E rm'"]),
        ("mean = [0.2860]", "mean = [0.2860, 1.0]", ["datasets.fashion_mnist: mean and std need one value a channel"]),
        ("shape = [28, 28, 1]", "shape = [28, 28]", ["datasets.fashion_mnist.shape[2]: missing"]),
        ('default_protocol = "paper"', 'default_protocol = "papr"', ["default_protocol: there is no protocol 'papr'"]),
        ('dataset = "cifar10"', 'dataset = "cifar"', ["benchmarks.resnet20-cifar10.dataset: there is no dataset"]),
        ('model = "resnet20"', 'model = "resnet"', ["benchmarks.resnet20-cifar10.model: there is no model 'resnet'"]),
        (
            "[baselines.erm]",
            '[baselines.erm]\nvariant = "wide"',
            ["baselines.erm.variant: there is no model '", "_wide' for "],
        ),
        ("size = 32", "size = 33", ["benchmarks.resnet20-cifar10.size: 33 is no multiple"]),
        ('benchmarks = ["resnet20-c', 'benchmarks = ["resnet-c', ["protocols.paper.benchmarks: there is no benchmark"]),
        (
            'name = "labels", dtype',
            'name = "images", dtype',
            ["compute_loss: there is no input 'images'", "logits, labels"],
        ),
        (
            'dtype = "int64", shape = ["batch"]',
            'dtype = "int64", shape = ["classes"]',
            ["labels is int64 of the shape"],
        ),
        ("gradient = true", "gradient = false", ["at least one input needs gradient = true"]),
        (
            "[contract.methods.compute_loss]",
            "[contract.methods.loss]",
            ["a contract has the methods compute_loss; mix"],
        ),
        ("primary = true", "primary = false", ["exactly one metric must be primary"]),
        ('name = "mia_auc"', 'name = "test_acc"', ["metrics: test_acc stands there twice"]),
        ('name = "labels", dtype = "int64"', 'name = "epoch", dtype = "int64"', ["epoch stands there twice"]),
        ("[protocols.canary]", "[protocols.targets]", ["targets is the name of a folder beside the records"]),
        ("seeds = [42, 43]", "seeds = []", ["protocols.quick.seeds: "]),
        ("benchmarks = ", "benchmarks = 3 #", ["protocols.paper.benchmarks: "]),
        ("seeds = [42, 43]", "seeds = [-1]", ["protocols.quick.seeds[0]: "]),
        (
            "shape = [] }]",
            "shape = [], gradient = true }]",
            ["contract.methods.compute_loss: only inputs have gradients"],
        ),
        ('shape = ["batch"] }', 'shape = ["batch"], gradient = true }', ["an input with a gradient must be float32"]),
        ('dtype = "float32", shape = [] }]', 'dtype = "float32", shape = ["batch"] }]', ["needs a scalar"]),
    ],
)
def test_a_wrong_key_is_named_with_its_mistake(broken: Path, old: str, new: str, expected: list[str]) -> None:
    message = error_after(broken, (old, new))
    for part in expected:
        assert part in message


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("version = 1", 'version = "1"', "version"),
        ("augment = true", "augment = 1", "protocols.paper.training.augment"),
        ("epochs = 100", "epochs = 100.0", "protocols.paper.training.epochs"),
        ("call_seconds = 10", "call_seconds = true", "limits.call_seconds"),
    ],
)
def test_a_value_of_another_type_is_not_converted(broken: Path, old: str, new: str, key: str) -> None:
    assert f"\n  {key}: " in error_after(broken, (old, new))


def test_all_mistakes_come_in_one_error(broken: Path) -> None:
    message = error_after(broken, ("log_kib", "log_kb"), ("size = 28", "size = 0"), ("version = 1", "version = 0"))
    assert message.splitlines()[0].endswith(": 3 mistakes")
    assert len(message.splitlines()) == 4


def test_a_long_wrong_value_is_cut_short(broken: Path) -> None:
    message = error_after(broken, ('direction = "min"', f'direction = "{"x" * 5000}"'))
    assert len(message.splitlines()[1]) < 150


def test_broken_toml_is_reported_with_its_line(broken: Path) -> None:
    message = error_after(broken, ("version = 1", "version = = 1"))
    assert "not valid TOML" in message
    assert "line 3" in message


@pytest.mark.parametrize("text", ["a = " + "[" * 20_000, ".".join("a" * 5000) + " = 1"], ids=["arrays", "tables"])
def test_deeply_nested_toml_is_no_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "task.toml").write_text(text)
    with pytest.raises(UserError, match="not valid TOML"):
        load_task(tmp_path)


def test_a_file_that_is_not_utf8_is_reported(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_bytes(b'id = "\xff"')
    with pytest.raises(UserError, match=r"task\.toml: not UTF-8 at byte 6"):
        load_task(tmp_path)


def test_a_folder_without_task_toml_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task\.toml: cannot be read: No such file"):
        load_task(tmp_path)


def test_a_missing_instruction_is_reported(broken: Path) -> None:
    (broken / "instruction.md").unlink()
    with pytest.raises(UserError, match=r"instruction\.md: cannot be read"):
        open_task(broken).instruction()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# === EDITABLE ===\n", ""),
        ("# === END EDITABLE ===\n", "# === END EDITABLE ===\n# === END EDITABLE ===\n"),
    ],
)
def test_a_template_needs_each_marker_once(broken: Path, old: str, new: str) -> None:
    file = broken / "custom_membership_defense.py"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match="once each, in this order"):
        open_task(broken).template()


def test_a_templates_markers_must_stand_in_order(broken: Path) -> None:
    (broken / "custom_membership_defense.py").write_text("# === END EDITABLE ===\n# === EDITABLE ===\n")
    with pytest.raises(UserError, match="once each, in this order"):
        open_task(broken).template()


@pytest.mark.parametrize("name", ["measure.py", "custom_membership_defense.py"])
def test_a_change_of_code_changes_the_digest(broken: Path, name: str) -> None:
    before = open_task(broken).digest()
    with (broken / name).open("a") as file:
        file.write("# changed\n")
    assert open_task(broken).digest() != before


def test_a_change_of_a_value_changes_the_digest_and_one_of_a_comment_does_not(broken: Path) -> None:
    before, file = open_task(broken).digest(), broken / "task.toml"
    file.write_text(f"# a comment\n{file.read_text()}")
    assert open_task(broken).digest() == before
    file.write_text(file.read_text().replace("weight_decay = 5e-4", "weight_decay = 4e-4", 1))
    assert open_task(broken).digest() != before


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import calibration.bins", "line 2: imports calibration, and a job may run where that is not installed"),
        ("import math, numpy.linalg, pandas", "line 2: imports pandas, "),
        ("from .bins import BINS", "line 2: imports from its own package, "),
        ("def measure(model):\n    from bins import BINS", "line 3: imports bins, "),
        ("def measure(", "line 2: '(' was never closed"),
    ],
)
def test_a_measure_that_no_other_machine_can_run_is_reported(broken: Path, line: str, told: str) -> None:
    (broken / "measure.py").write_text(f"import json, scipy.stats, sklearn, mlsbench.scoring\n{line}\n")
    with pytest.raises(UserError) as caught:
        open_task(broken).measure()
    assert str(caught.value).startswith(f"{broken / 'measure.py'}, {told}")


def test_a_measure_that_cannot_be_parsed_for_its_depth_is_reported(broken: Path) -> None:
    (broken / "measure.py").write_text(f"x = {'-' * 20_000}1\n")
    with pytest.raises(UserError, match="too deeply nested"):
        open_task(broken).measure()


def test_what_the_catalogue_says_is_the_same_as_what_the_task_says_itself(task: TaskFolder, broken: Path) -> None:
    assert open_task(broken).digest() == task.digest()  # whose own text, unlike the broken one's, has no dataset


def test_a_task_has_of_the_catalogue_what_its_protocols_use(task: TaskFolder) -> None:
    used = {name for protocol in task.spec.protocols.values() for name in protocol.benchmarks}
    assert set(task.spec.benchmarks) == used
    assert set(task.spec.datasets) == {benchmark.dataset for benchmark in task.spec.benchmarks.values()}


def test_the_json_schema_accepts_the_task_and_refuses_an_unknown_key(task: TaskFolder) -> None:
    content = json.loads(json.dumps(tomllib.loads((task.path / "task.toml").read_text())))
    validator = jsonschema.Draft202012Validator(spec_schema())
    validator.check_schema(spec_schema())
    assert not list(validator.iter_errors(content))
    content["contract"]["modles"] = []
    assert [list(error.path) for error in validator.iter_errors(content)] == [["contract"]]


def test_the_rows_of_a_table_cannot_be_augmented(broken: Path) -> None:
    shape = ("shape = [8, 8, 1]", "shape = [1, 64, 1]")
    sizes = [('dataset = "digits"\nsize = 32', 'dataset = "digits"\nsize = 1')] * 2
    augment = ("batch = 32, augment = false", "batch = 32, augment = true")
    message = error_after(broken, shape, *sizes, augment)
    assert "protocols.smoke: resnet20-digits is about a table, whose rows cannot be augmented" in message


def test_a_dataset_has_both_fingerprints_or_none(broken: Path) -> None:
    text = (broken / "task.toml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("test_fingerprint"))
    assert "datasets.cifar10: give both fingerprints or none" in error_after(broken, (line + "\n", ""))


def test_a_benchmark_may_change_every_value_of_its_protocols_training(broken: Path) -> None:
    file = broken / "task.toml"
    changes = (
        'optimizer = "adam", epochs = 7, lr = 0.5, schedule = "steps", milestones = [3], weight_decay = 0.0, '
        "batch = 9, augment = true"
    )
    file.write_text(file.read_text().replace("training = { epochs = 4, lr = 0.01 }", f"training = {{ {changes} }}"))
    changed = load_task(broken).training("smoke", "vgg16bn-digits")
    assert changed == Training.model_validate(tomllib.loads(f"training = {{ {changes} }}")["training"])


def test_what_a_contract_names_decides_how_a_step_is_made_and_the_pool_divided(task: TaskFolder) -> None:
    other = get_task("security-membership-inference-set-defense").spec
    assert (task.spec.plain, task.spec.parts, task.spec.most_members("resnet20-cifar10")) == (True, 2, 25000)
    assert (other.plain, other.parts, other.most_members("resnet20-cifar10")) == (False, 3, 16667)
