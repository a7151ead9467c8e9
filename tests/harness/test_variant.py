"""A protocol's name and its overrides mean one variant, and no override is taken that cannot be meant."""

from __future__ import annotations

import pytest

from mlsbench import UserError
from mlsbench.harness.variant import variant
from mlsbench.tasks import get_task

SPEC = get_task("security-membership-inference-defense").spec


def test_a_variants_name_means_the_variant() -> None:
    made = variant(SPEC, "smoke", ["epochs=3", "members=64"])
    assert variant(SPEC, made.name) == made
    assert variant(SPEC, "smoke+epochs=3", ["members=64"]) == made


def test_the_tasks_default_protocol_is_taken_if_none_is_named() -> None:
    assert variant(SPEC, None).name == "paper"


def test_an_unknown_protocol_is_answered_with_those_that_exist() -> None:
    with pytest.raises(UserError, match=r"'papr'.*paper, overfit, quick, smoke"):
        variant(SPEC, "papr")


def test_overrides_stand_in_the_protocols_name_in_the_same_order_however_given() -> None:
    given = ["precision=bf16", "members=64", "epochs=3", "batch=8"]
    names = {variant(SPEC, "smoke", order).name for order in (given, given[::-1])}
    assert names == {"smoke+batch=8+epochs=3+members=64+precision=bf16"}


def test_overrides_change_every_benchmark_and_nothing_else() -> None:
    plain, changed = variant(SPEC, "smoke"), variant(SPEC, "smoke", ["epochs=3", "batch=8"])
    for benchmark, training in plain.trainings.items():
        assert changed.trainings[benchmark] == training.model_copy(update={"epochs": 3, "batch": 8})
    assert (changed.members, changed.precision) == (None, "auto")
    assert variant(SPEC, "smoke", ["members=64"]).members == 64
    assert variant(SPEC, "smoke", ["precision=bf16"]).precision == "bf16"


def test_other_epochs_keep_the_schedules_shape() -> None:
    (training, *_) = variant(SPEC, "overfit", ["epochs=20"]).trainings.values()
    assert training.milestones == (10, 15)


@pytest.mark.parametrize(
    "override",
    ["epochs", "epochs=", "epochs=0", "epochs=-1", "epochs=03", "epochs=1.5", "epochs=１", "epochs=1e3", "epochs=1_0",
     "epochs= 1", "epochs=1\n", "epochs=10000000", f"epochs={'9' * 5000}", "members=0", "members=all", "batch=x",
     "precision=fp16", "precision=auto", "precision="],
)  # fmt: skip
def test_a_value_that_is_not_legal_is_a_mistake_that_names_its_key(override: str) -> None:
    with pytest.raises(UserError, match=f"--override {override.partition('=')[0]}=") as mistake:
        variant(SPEC, "smoke", [override])
    assert len(str(mistake.value)) < 200


@pytest.mark.parametrize("override", ["lr=1", "seed=3", "=3", "", "Epochs=3", "schedule=steps"])
def test_a_key_that_is_not_legal_is_answered_with_those_that_are(override: str) -> None:
    with pytest.raises(UserError, match=r"--override .*legal.*epochs, batch, members, canaries and precision"):
        variant(SPEC, "smoke", [override])


def test_an_override_given_twice_is_a_mistake() -> None:
    with pytest.raises(UserError, match="--override epochs is given twice"):
        variant(SPEC, "smoke", ["epochs=1", "epochs=2"])
