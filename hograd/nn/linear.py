"""Layers that are linear in their input: products with a weight, convolutions, rows of a table."""

from __future__ import annotations

import math
from typing import Any

from hograd.errors import ShapeError
from hograd.nn.init import Initializer, uniform
from hograd.nn.layer import Layer, Params, Scope, size


def weight_and_bias(
    shape: tuple[int, ...],
    outputs: int | None,
    fan_in: int,
    weight_init: Initializer | None,
    bias_init: Initializer | None,
    generator: Any,
    dtype: Any,
) -> Params:
    """A weight, and a bias unless `outputs` is None; both uniform in +- 1 / sqrt(fan_in) unless told otherwise."""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0

    def make(initializer: Initializer | None, shape: tuple[int, ...]) -> Any:
        if initializer is None:
            return uniform(shape, -bound, bound, generator=generator, dtype=dtype)
        return initializer(shape, generator=generator, dtype=dtype)

    made = {"weight": make(weight_init, shape)}
    if outputs is not None:
        made["bias"] = make(bias_init, (outputs,))
    return made


class linear(Layer):
    """x @ weight.T + bias.

    Args:
        inputs, outputs: lengths of the last axis.
        bias: whether there is a bias.
        weight_init, bias_init: see `nn.init`; default uniform in +- 1 / sqrt(inputs), as in PyTorch.

    Parameters: weight (outputs, inputs), bias (outputs,). Input (..., inputs), output (..., outputs).

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.linear(2, 1).apply({"weight": ho.tensor([[3.0, 4.0]]), "bias": ho.tensor([0.5])}, ho.tensor([1.0, 2.0]))
    tensor([11.5000])
    """

    inputs: int
    outputs: int
    bias: bool = True
    weight_init: Initializer | None = None
    bias_init: Initializer | None = None

    def __post_init__(self) -> None:
        size(self.inputs, "linear: inputs", 0)
        size(self.outputs, "linear: outputs", 0)

    def make_params(self, generator: Any, dtype: Any) -> Params:
        shape, outputs = (self.outputs, self.inputs), self.outputs if self.bias else None
        return weight_and_bias(shape, outputs, self.inputs, self.weight_init, self.bias_init, generator, dtype)

    def forward(self, scope: Scope, x: Any) -> Any:
        if not x.ndim or x.shape[-1] != self.inputs:
            raise ShapeError(f"{scope.where}: x has shape {tuple(x.shape)}, expected (..., {self.inputs}).")
        y = x @ scope["weight"].t()
        return y + scope["bias"] if self.bias else y
