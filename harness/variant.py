"""A protocol as a command uses it, perhaps with values of its user's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mlsbench import UserError
from mlsbench.tasks import Task, Training

PRECISIONS: dict[str, Literal["fp32", "bf16"]] = {"fp32": "fp32", "bf16": "bf16"}


@dataclass(frozen=True)
class Variant:
    """A protocol, perhaps with values of the user's own; `name` tells which, everywhere."""

    name: str
    benchmarks: tuple[str, ...]
    seeds: tuple[int, ...]
    trainings: dict[str, Training]
    precision: Literal["auto", "fp32", "bf16"]
    members: int | None = None
    canaries: int = 0
    references: tuple[int, ...] = ()


def variant(spec: Task, protocol: str | None, overrides: Sequence[str] = ()) -> Variant:
    """The protocol called `protocol` (the task's default if None), changed by `overrides` of the form key=value.

    Legal keys are epochs, batch, members, canaries and precision. `protocol` may also be the name of such a variant, as
    in smoke+epochs=3. Raises UserError.
    """
    name, *named = (protocol or spec.default_protocol).split("+")
    overrides = (*named, *overrides)
    if name not in spec.protocols:
        raise UserError(f"there is no protocol {name!r}; choose one of {', '.join(spec.protocols)}")
    chosen = spec.protocols[name]
    trainings = {b: spec.training(name, b) for b in chosen.benchmarks}
    result = Variant(
        name, chosen.benchmarks, chosen.seeds, trainings, chosen.precision, chosen.members, chosen.canaries,
        chosen.references,
    )  # fmt: skip
    given: dict[str, str] = {}
    for text in overrides:
        key, _, value = text.partition("=")
        if key in given:
            raise UserError(f"--override {key} is given twice")
        given[key] = value
    for key in sorted(given):
        result = _override(result, key, given[key])
    if result.canaries and not spec.audited:
        raise UserError(f"canaries={result.canaries}: {spec.id} has no metric mia_auc, which canaries are about")
    return result


def _override(base: Variant, key: str, value: str) -> Variant:
    named = replace(base, name=f"{base.name}+{key}={value}")
    if key == "precision":
        if value not in PRECISIONS:
            raise UserError(f"--override precision={value[:20]}: choose one of {', '.join(PRECISIONS)}")
        return replace(named, precision=PRECISIONS[value])
    if key not in ("epochs", "batch", "members", "canaries"):
        legal = "epochs, batch, members, canaries and precision"
        raise UserError(f"--override {key[:20]}={value[:20]}: legal keys are {legal}")
    if not re.fullmatch("[1-9][0-9]{0,6}", value):
        raise UserError(f"--override {key}={value[:20]}: give a whole number from 1 to 9999999")
    if key == "members":
        return replace(named, members=int(value))
    if key == "canaries":
        return replace(named, canaries=int(value))
    update = _with_epochs if key == "epochs" else _with_batch
    return replace(named, trainings={b: update(t, int(value)) for b, t in base.trainings.items()})


def _with_epochs(base: Training, epochs: int) -> Training:
    """A shorter or longer training of the same shape: milestones move along."""
    moved = tuple(max(1, round(m * epochs / base.epochs)) for m in base.milestones)
    return base.model_copy(update={"epochs": epochs, "milestones": moved})


def _with_batch(base: Training, batch: int) -> Training:
    return base.model_copy(update={"batch": batch})
