"""Calling the candidate's code: the same lines in the worker and, for debugging, in the trainer's process."""

from __future__ import annotations

import sys
import types
from typing import Any

import torch
from torch import Tensor

from mlsbench.sandbox.frames import Array, Contract, Method

FILE = "<submission>"
DTYPES = {"float32": torch.float32, "int64": torch.int64}


class WrongReturnError(Exception):
    """The candidate returned something that the contract does not allow."""


class Candidate:
    """An instance of the class that a submission defines.

    Whatever the submission's import or construction raises is passed on.
    """

    def __init__(self, text: str, contract: Contract) -> None:
        module = types.ModuleType("submission")
        sys.modules["submission"] = module  # dataclasses and pickle look a class's module up
        exec(compile(text, FILE, "exec", dont_inherit=True), module.__dict__)
        self._instance = getattr(module, contract.class_name)()

    def call(self, method: Method, inputs: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor], bool]:
        """Call `method` with copies of `inputs`; scalars arrive as Python numbers.

        Returns the outputs, the gradients of the first output with respect to the inputs that want one (zeros where no
        path leads to an input) and whether any path led to any of them. Raises WrongReturnError on an output that is
        not the plain, real, dense CPU tensor of the contract, and whatever the candidate raises.
        """
        leaves = {a.name: inputs[a.name].clone().requires_grad_() for a in method.differentiated}
        arguments: list[Any] = []
        for array in method.inputs:
            given = leaves.get(array.name, inputs[array.name])
            arguments.append(given.clone() if array.shape else given.item())
        returned = getattr(self._instance, method.name)(*arguments)
        # Of a method without outputs nobody asks what it returns: many a `fit` returns its object.
        several = len(method.outputs) > 1
        if several and not isinstance(returned, tuple | list):
            named = ", ".join(array.name for array in method.outputs)
            raise WrongReturnError(f"{method.name} must return a tuple ({named}), not one {type(returned).__name__}")
        outputs = list(returned) if several else [returned][: len(method.outputs)]
        if len(outputs) != len(method.outputs):
            raise WrongReturnError(f"{method.name} returned {len(outputs)} values instead of {len(method.outputs)}")
        for array, output in zip(method.outputs, outputs, strict=True):
            _check(method, array, _due(method, array, inputs) if array.shape else (), output)
        if not leaves:
            return [o.detach() for o in outputs], [], True
        if outputs[0].requires_grad:
            outputs[0].backward()
        gradients = [leaf.grad for leaf in leaves.values()]
        zeros = [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(gradients, leaves.values(), strict=True)]
        return [o.detach() for o in outputs], zeros, any(g is not None for g in gradients)


def _due(method: Method, array: Array, inputs: dict[str, Tensor]) -> tuple[int, ...]:
    """The shape of an output, whose dimensions are those of inputs."""
    sizes = {dim: n for a in method.inputs for dim, n in zip(a.shape, inputs[a.name].shape, strict=True)}
    return tuple(sizes[dim] for dim in array.shape)


def _check(method: Method, array: Array, shape: tuple[int, ...], output: Any) -> None:
    what = f" as {array.name}" if len(method.outputs) > 1 else ""
    where = f"{method.name} must return one real {len(array.shape)}-dimensional tensor on the CPU{what}, not "
    if type(output) is not torch.Tensor:
        hint = ": is there a return?" if output is None else ""
        raise WrongReturnError(where + f"a value of type {type(output).__name__}{hint}")
    if array.dtype == "float32" and not output.is_floating_point():
        raise WrongReturnError(where + f"one of {output.dtype}")
    if array.dtype == "int64" and output.dtype != torch.int64:
        raise WrongReturnError(where + f"one of {output.dtype}")
    if output.layout is not torch.strided or output.device.type != "cpu":
        raise WrongReturnError(where + f"one with layout {output.layout} on {output.device}")
    if output.shape != shape:
        due = f"; {shape} is due" if shape else ""
        raise WrongReturnError(where + f"one of shape {tuple(output.shape)}{due}")
