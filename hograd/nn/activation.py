"""Activations that have parameters; those without are functions, such as `hograd.relu`."""

from __future__ import annotations

from typing import Any

from hograd.core.primitive import ops
from hograd.errors import ShapeError
from hograd.nn.init import constant
from hograd.nn.layer import Layer, Params, Scope, size


class prelu(Layer):
    """x  where it is positive, else  weight * x  (He et al., 2015).

    Args:
        features: number of channels, each with a slope of its own; or 1, for one slope.
        slope: where the weight starts.

    Parameter: weight (features,). Input (n, features, ...), or any shape if features is 1.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> layer = nn.prelu()
    >>> layer.apply(layer.init(0), ho.tensor([-4.0, 1.0]))
    tensor([-1.,  1.])
    """

    features: int = 1
    slope: float = 0.25

    def __post_init__(self) -> None:
        size(self.features, "prelu: features")

    def make_params(self, generator: Any, dtype: Any) -> Params:
        return {"weight": constant((self.features,), self.slope, dtype=dtype)}

    def forward(self, scope: Scope, x: Any) -> Any:
        if self.features > 1 and (x.ndim < 2 or x.shape[1] != self.features):
            raise ShapeError(f"{scope.where}: x has shape {tuple(x.shape)}, expected (n, {self.features}, ...).")
        return ops.prelu(x, scope["weight"])
