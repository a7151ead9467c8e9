"""The parts of a specification that all others build on, and a contract's methods: arrays in, arrays out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]


class Model(BaseModel):
    """Base of all parts of a specification: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class Array(Model):
    """A named array of a contract's method."""

    name: Name
    dtype: Literal["float32", "int64"]
    shape: tuple[str, ...] = Field(description="symbolic dimensions, for example ['batch', 'classes']; [] is a scalar")
    gradient: bool = Field(False, description="the reply carries d output / d this input")


class Method(Model):
    """A method that the candidate implements: arrays in, arrays out, gradients of its first output."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]

    @model_validator(mode="after")
    def _differentiable(self) -> Method:
        if any(a.gradient for a in self.outputs):
            raise ValueError("only inputs have gradients")
        if any(a.gradient and a.dtype != "float32" for a in self.inputs):
            raise ValueError("an input with a gradient must be float32")
        if any(a.gradient for a in self.inputs) and not (self.outputs and self.outputs[0].shape == ()):
            raise ValueError("a method with gradients needs a scalar as its first output")
        return self
