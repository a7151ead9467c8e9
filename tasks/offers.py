"""What a contract can choose from: the methods that the trainer calls and the arrays that it has for them.

A loss defense is `compute_loss`, perhaps with `mix` before it; an attack is `fit` and `score`. Of the inputs that stand
here a method gets those that its contract names, in the contract's order; outputs are as they stand here.
"""

from __future__ import annotations

from typing import NamedTuple

from mlsbench.tasks.array import Array, Method


class Offer(NamedTuple):
    """A method that the trainer calls: the inputs that it has, and the outputs that it wants."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


def _array(name: str, dtype: str, *shape: str, gradient: bool = False) -> Array:
    return Array.model_validate({"name": name, "dtype": dtype, "shape": shape, "gradient": gradient})


_LABELS, _EPOCH = _array("labels", "int64", "batch"), _array("epoch", "int64")
_EXAMPLES = _array("labels", "int64", "examples")

OFFERS = {
    "compute_loss": Offer(
        (
            _array("logits", "float32", "batch", "classes", gradient=True),
            _LABELS,
            _array("targets", "float32", "batch", "classes"),
            _array("member_logits", "float32", "batch", "classes", gradient=True),
            _array("reference_logits", "float32", "batch", "classes"),
            _array("reference_labels", "int64", "batch"),
            _EPOCH,
        ),
        (_array("loss", "float32"),),
    ),
    "mix": Offer((_LABELS, _EPOCH), (_array("partners", "int64", "batch"), _array("weights", "float32", "batch"))),
    "fit": Offer(
        (
            _array("logits", "float32", "references", "examples", "classes"),
            _EXAMPLES,
            _array("member", "int64", "references", "examples"),
        ),
        (),
    ),
    "score": Offer(
        (_array("logits", "float32", "examples", "classes"), _EXAMPLES), (_array("scores", "float32", "examples"),)
    ),
}
SETS_OF_METHODS = ({"compute_loss"}, {"mix", "compute_loss"}, {"fit", "score"})


def mistakes(methods: dict[str, Method]) -> list[str]:
    """What is wrong with a contract's methods, one line a mistake."""
    if set(methods) not in SETS_OF_METHODS:
        choices = "; ".join(" and ".join(sorted(names, reverse=True)) for names in SETS_OF_METHODS)
        return [f"a contract has the methods {choices}; not {', '.join(methods) or 'none'}"]
    return [f"{name}: {line}" for name, method in methods.items() for line in _mistakes(method, OFFERS[name])]


def _mistakes(method: Method, offer: Offer) -> list[str]:
    offered = {array.name: array for array in offer.inputs}
    lines = []
    for array in method.inputs:
        known = offered.get(array.name)
        if known is None:
            lines.append(f"there is no input {array.name!r}; choose from {', '.join(offered)}")
        elif (array.dtype, array.shape) != (known.dtype, known.shape):
            lines.append(f"{array.name} is {known.dtype} of the shape {list(known.shape)}")
        elif array.gradient and not known.gradient:
            lines.append(f"{array.name} has no use for a gradient")
    if any(array.gradient for array in offer.inputs) and not any(array.gradient for array in method.inputs):
        lines.append("at least one input needs gradient = true")
    names = [array.name for array in method.inputs]
    lines += [f"{name} stands there twice" for name in sorted({name for name in names if names.count(name) > 1})]
    known_sizes = {dim for array in method.inputs for dim in array.shape}
    if missing := sorted({dim for array in method.outputs for dim in array.shape} - known_sizes):
        lines.append(f"no input tells how large {missing[0]} is, which an output has")
    if method.outputs != offer.outputs:
        lines.append(f"its outputs are {', '.join(array.name for array in offer.outputs) or 'none'}, as documented")
    return lines
