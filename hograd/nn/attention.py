"""Attention with several heads."""

from __future__ import annotations

import math
from typing import Any

from hograd.core.primitive import ops
from hograd.errors import ArgumentError, ShapeError
from hograd.nn.init import Initializer, uniform, xavier_uniform, zeros
from hograd.nn.layer import Layer, Params, Scope, size

SEPARATE = ("q_proj_weight", "k_proj_weight", "v_proj_weight")


class multi_head_attention(Layer):
    """Several heads of attention:  out_proj(concat_i softmax(q_i k_i^T / sqrt(d)) v_i),  with heads i of length d.

    q, k and v are linear in query, key and value. `apply(params, x)` attends to x itself, `apply(params, query, key)`
    to key. A fourth input is a mask that fits (..., heads, n, m): bool, True where to look, or floating, added to the
    scores. Source: Vaswani et al., 2017.

    Args:
        features: of queries and of the answer; a multiple of `heads`.
        heads: how many.
        keys, values: features of keys and of values; default `features`.
        bias: whether the four linear layers have biases.
        causal: look at no key behind the query's own place.
        dropout: probability with which a weight is dropped in training.
        weight_init: of the projections of query, key and value; default Xavier uniform, as in PyTorch.

    Parameters: in_proj_weight (3 * features, features), rows in the order q, k, v; or, with other features of keys or
    values, q_proj_weight, k_proj_weight and v_proj_weight; in_proj_bias (3 * features,); out_proj, with weight
    (features, features) and bias (features,). Inputs: (..., n, features), (..., m, keys) and (..., m, values), with
    any axes in front, as of a batch.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> layer = nn.multi_head_attention(6, 2, causal=True)
    >>> params = layer.init(0)
    >>> layer.apply(params, ho.ones(5, 3, 6)).shape
    (5, 3, 6)
    """

    features: int
    heads: int
    keys: int | None = None
    values: int | None = None
    bias: bool = True
    causal: bool = False
    dropout: float = 0.0
    weight_init: Initializer | None = None

    def __post_init__(self) -> None:
        size(self.features, "multi_head_attention: features")
        size(self.heads, "multi_head_attention: heads")
        if self.features % self.heads:
            raise ArgumentError(
                f"multi_head_attention: features is {self.features}, expected a multiple of heads, {self.heads}."
            )
        if not 0 <= self.dropout <= 1:
            raise ArgumentError(f"multi_head_attention: dropout is {self.dropout}, expected a number in [0, 1].")

    @property
    def widths(self) -> tuple[int, int, int]:
        """Features of query, key and value."""
        return self.features, self.keys or self.features, self.values or self.features

    @property
    def joint(self) -> bool:
        """Whether the three projections are one weight."""
        return self.widths == (self.features,) * 3

    def make_params(self, generator: Any, dtype: Any) -> Params:
        make, n = self.weight_init or xavier_uniform, self.features
        if self.joint:
            params: Params = {"in_proj_weight": make((3 * n, n), generator=generator, dtype=dtype)}
        else:
            params = {
                name: make((n, width), generator=generator, dtype=dtype)
                for name, width in zip(SEPARATE, self.widths, strict=True)
            }
        bound = 1 / math.sqrt(n)
        params["out_proj"] = {"weight": uniform((n, n), -bound, bound, generator=generator, dtype=dtype)}
        if self.bias:
            params["in_proj_bias"] = zeros(3 * n, dtype=dtype)
            params["out_proj"]["bias"] = zeros(n, dtype=dtype)
        return params

    def forward(self, scope: Scope, query: Any, key: Any = None, value: Any = None, mask: Any = None) -> Any:
        key = query if key is None else key
        value = key if value is None else value
        inputs = (query, key, value)
        for name, x, width in zip(("query", "key", "value"), inputs, self.widths, strict=True):
            if x.ndim < 2 or x.shape[-1] != width:
                raise ShapeError(f"{scope.where}: {name} has shape {tuple(x.shape)}, expected (..., length, {width}).")
        q, k, v = (self._split(x) for x in self._project(scope, inputs))
        drawn: dict[str, Any] = {}
        if scope.train and self.dropout:
            drawn = {"dropout_p": self.dropout, "generator": scope.generator()}
        y = ops.scaled_dot_product_attention(q, k, v, mask, is_causal=self.causal, **drawn)
        y = y.swapaxes(-3, -2)
        y = y.reshape(*y.shape[:-2], self.features)
        out = scope["out_proj"]
        return ops.linear(y, out["weight"], out["bias"] if self.bias else None)

    def _project(self, scope: Scope, inputs: tuple[Any, Any, Any]) -> Any:
        n = self.features
        query, key, value = inputs
        bias = scope["in_proj_bias"] if self.bias else None
        if self.joint and query is key is value:
            return ops.split(ops.linear(query, scope["in_proj_weight"], bias), n, -1)
        weights = ops.split(scope["in_proj_weight"], n, 0) if self.joint else [scope[name] for name in SEPARATE]
        biases = (None,) * 3 if bias is None else ops.split(bias, n, 0)
        return [ops.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]

    def _split(self, x: Any) -> Any:
        """(..., n, features) as (..., heads, n, features of a head)."""
        return x.reshape(*x.shape[:-1], self.heads, self.features // self.heads).swapaxes(-3, -2)
