"""Layers that are one product with a weight, or one look-up in it."""

from __future__ import annotations

import math
from typing import Any

from hograd.core.primitive import ops
from hograd.errors import ArgumentError, ShapeError
from hograd.nn.init import Initializer, normal, uniform
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
        return ops.linear(x, scope["weight"], scope["bias"] if self.bias else None)


class embedding(Layer):
    """Rows of a table,  weight[x].

    Args:
        rows: how many rows, such as words.
        features: length of a row.
        padding_idx: a row that starts as 0 and has no derivative.
        weight_init: see `nn.init`; default normal with mean 0 and standard deviation 1, as in PyTorch.

    Parameter: weight (rows, features). Input: integers of any shape; output (*shape, features).

    >>> import hograd as ho
    >>> from hograd import nn
    >>> table = nn.embedding(10, 3)
    >>> table.apply(table.init(0), ho.tensor([[1, 2], [3, 3]])).shape
    (2, 2, 3)
    """

    rows: int
    features: int
    padding_idx: int | None = None
    weight_init: Initializer | None = None

    def __post_init__(self) -> None:
        size(self.rows, "embedding: rows")
        size(self.features, "embedding: features")
        if self.padding_idx is not None and not -self.rows <= self.padding_idx < self.rows:
            raise ArgumentError(f"embedding: padding_idx is {self.padding_idx}, expected one of the {self.rows} rows.")

    def make_params(self, generator: Any, dtype: Any) -> Params:
        weight = (self.weight_init or normal)((self.rows, self.features), generator=generator, dtype=dtype)
        if self.padding_idx is not None:
            weight = weight.at[self.padding_idx].set(0.0)
        return {"weight": weight}

    def forward(self, scope: Scope, x: Any) -> Any:
        return ops.embedding(x, scope["weight"], self.padding_idx)
