"""Dropout with explicit keys."""

from __future__ import annotations

from typing import Any

from hograd.core.primitive import ops
from hograd.errors import ArgumentError
from hograd.nn.layer import Layer, Scope


class dropout(Layer):
    """With `train=True`, each element 0 with probability p, and the others divided by 1 - p (Srivastava et al., 2014).

    What is dropped follows from the key that `apply` is given and the layer's name in the network: equal keys drop
    equal elements, and layers drop independently of each other. Inside `vmap`, its argument `randomness` says whether
    elements share the draw.

    Args:
        p: in [0, 1].

    >>> import hograd as ho
    >>> from hograd import nn
    >>> layer, x = nn.dropout(0.5), ho.ones(1000)
    >>> one, same, other = (layer.apply({}, x, train=True, key=key) for key in (3, 3, 4))
    >>> bool((one == same).all()), bool((one == other).all())
    (True, False)
    >>> sorted(set(one.tolist()))
    [0.0, 2.0]
    >>> bool((layer.apply({}, x) == x).all())
    True
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ArgumentError(f"dropout probability has to be between 0 and 1, but got {self.p}.")

    def forward(self, scope: Scope, x: Any) -> Any:
        return ops.dropout(x, self.p, generator=scope.generator()) if scope.train and self.p else x
