"""Randomness in networks: dropout of elements and of whole channels, and draws of classes that have a derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.backend import is_number
from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import axis_of, tensor_of
from hograd.ops.random import rand

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "gumbel_softmax"]

#: Of SELU, whose mean and variance `alpha_dropout` keeps: what its answers tend to far below zero.
_FLOOR = -1.7580993408473766


def _checked(x: Any, p: Any, name: str) -> Tensor:
    x = tensor_of(x, name)
    if not isinstance(p, Tensor) and not is_number(p):
        raise DtypeError(f"{name} got p {p!r}, expected a number.")
    if not 0 <= p <= 1:
        raise ArgumentError(f"dropout probability has to be between 0 and 1, but got {p}.")
    return x


def _dropped(x: Tensor, p: Any, training: bool, lead: int, generator: Any) -> Tensor:
    """Dropout of what lies behind the first `lead` axes, all of it or none."""
    if not training or p == 0:
        return ops.clone(x)
    if p == 1:
        return x * 0.0
    kept = ops.ge(rand((*x.shape[:lead], *(1,) * (x.ndim - lead)), generator=generator), p)
    return ops.where(kept, x / (1 - p), 0.0)


def _samples(*shape: int) -> Any:
    return lambda s: [
        case(s.normal(*shape), 0.0),
        case(s.normal(*shape), 1.0),
        case(s.normal(*shape[1:]), 0.3, training=False),
    ]


@operation(None, _samples(3, 4))
def dropout(x: Any, p: float = 0.5, training: bool = True, *, generator: Any = None) -> Tensor:
    """Each element 0 with probability p, and the others divided by 1 - p.

    Args:
        x: floating tensor (`input`).
        p: in [0, 1].
        training: False: x as it is.
        generator: a `numpy.random.Generator`; default the thread's own. Equal states give equal draws.

    >>> import hograd as ho
    >>> ho.dropout(ho.tensor([1.0, 2.0]), 1.0)
    tensor([0., 0.])
    """
    x = _checked(x, p, "dropout")
    return _dropped(x, p, training, x.ndim, generator)


def _of_channels(x: Any, p: Any, training: bool, ranks: dict[int, int], generator: Any, name: str) -> Tensor:
    x = _checked(x, p, name)
    if x.ndim not in ranks:
        raise ShapeError(f"{name}: x has shape {tuple(x.shape)}, expected {' or '.join(map(str, ranks))} axes.")
    return _dropped(x, p, training, ranks[x.ndim], generator)


@operation(None, _samples(2, 3, 4))
def dropout1d(x: Any, p: float = 0.5, training: bool = True, *, generator: Any = None) -> Tensor:
    """Each channel 0 with probability p, and the others divided by 1 - p (Tompson et al., 2015).

    Args:
        x: shape ([n,] channels, length) (`input`).
        p, training, generator: as for `dropout`.

    >>> import hograd as ho
    >>> ho.dropout1d(ho.ones(1, 2), 1.0)
    tensor([[0., 0.]])
    """
    return _of_channels(x, p, training, {3: 2, 2: 1}, generator, "dropout1d")


@operation(None, _samples(2, 3, 2, 2))
def dropout2d(x: Any, p: float = 0.5, training: bool = True, *, generator: Any = None) -> Tensor:
    """Each channel 0 with probability p, and the others divided by 1 - p (Tompson et al., 2015).

    Args:
        x: shape (n, channels, height, width), or as in PyTorch (n, channels, length) (`input`).
        p, training, generator: as for `dropout`.

    >>> import hograd as ho
    >>> ho.dropout2d(ho.ones(1, 1, 1, 2), 1.0)
    tensor([[[[0., 0.]]]])
    """
    return _of_channels(x, p, training, {4: 2, 3: 2}, generator, "dropout2d")


@operation(None, _samples(2, 3, 2, 1, 2))
def dropout3d(x: Any, p: float = 0.5, training: bool = True, *, generator: Any = None) -> Tensor:
    """Each channel 0 with probability p, and the others divided by 1 - p (Tompson et al., 2015).

    Args:
        x: shape ([n,] channels, depth, height, width) (`input`).
        p, training, generator: as for `dropout`.

    >>> import hograd as ho
    >>> ho.dropout3d(ho.ones(1, 1, 1, 2), 1.0)
    tensor([[[[0., 0.]]]])
    """
    return _of_channels(x, p, training, {5: 2, 4: 1}, generator, "dropout3d")


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), 0.3, training=False),
        case(s.normal(2, 3), 0.0, training=True),
        case(s.normal(4), 1.0, training=True),
    ],
)
def alpha_dropout(x: Any, p: float = 0.5, training: bool = False, *, generator: Any = None) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for networks with `selu` (Klambauer et al., 2017).

        a (x or alpha, with probability p) + b,   alpha = -1.758, the floor of `selu`

    Args:
        x: floating tensor (`input`).
        p: in [0, 1].
        training: False, as in PyTorch: x as it is.
        generator: a `numpy.random.Generator`; default the thread's own.

    >>> import hograd as ho
    >>> ho.alpha_dropout(ho.tensor([1.0, 2.0]), 1.0, training=True)
    tensor([0., 0.])
    """
    x = _checked(x, p, "alpha_dropout")
    if not training or p == 0:
        return ops.clone(x)
    if p == 1:
        return x * 0.0
    kept = ops.ge(rand(x.shape, generator=generator), p)
    a = ((1 - p) * (1 + p * _FLOOR**2)) ** -0.5
    return ops.where(kept, x, _FLOOR) * a - a * p * _FLOOR


def gumbel_softmax(
    logits: Any, tau: Any = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1, *, generator: Any = None
) -> Tensor:
    """Draws of classes with a derivative:  softmax((logits + g) / tau),  g Gumbel's draws (Jang et al., 2017).

    Args:
        logits: unnormalised log-probabilities, floating.
        tau: temperature above 0; the less it is, the closer is a draw to one class.
        hard: make it one class, with the derivative of what it was before.
        eps: without effect, as in PyTorch.
        dim: the axis of the classes.
        generator: a `numpy.random.Generator`; default the thread's own.

    Returns:
        Shape of `logits`; positive numbers that sum to 1 along the axis.

    >>> import hograd as ho
    >>> ho.gumbel_softmax(ho.tensor([0.0, 1000.0]), hard=True)
    tensor([0., 1.])
    """
    logits = tensor_of(logits, "gumbel_softmax")
    if logits.dtype.kind != "f" or not logits.ndim:
        raise DtypeError(
            f"gumbel_softmax: logits have dtype {logits.dtype} and shape {tuple(logits.shape)}, expected a floating "
            "dtype and an axis of classes."
        )
    axis = axis_of(dim, logits.ndim, "gumbel_softmax")
    draws = ops.maximum(rand(logits.shape, dtype=logits.dtype, generator=generator), np.finfo(logits.dtype).tiny)
    soft = ops.softmax((logits - ops.log(-ops.log(draws))) / tau, axis)
    if not hard:
        return soft
    one = ops.indicator(ops.argmax(soft, axis), axis, logits.shape[axis])
    return ops.astype(one, soft.dtype) - soft.detach() + soft
