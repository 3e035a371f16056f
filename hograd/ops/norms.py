"""Vector norms over any axes, in which no square overflows or vanishes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from hograd.backend import default_dtype
from hograd.core import fast
from hograd.core.batching import shift
from hograd.core.declare import case, composite, general
from hograd.core.primitive import kernels, register
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError
from hograd.ops.axes import axes_of, operand, without

__all__ = ["norm"]


class Scales(NamedTuple):
    """What vectors are multiplied by, powers of 2, whose squares vanish or overflow (Blue, 1978).

    Attributes:
        least: the smallest sum of squares that is exact.
        up, down: the scales where the sum is smaller, and where it is infinite.
        nothing: less than rounding in a vector that `down` scales; the square of it is exact.
    """

    least: float
    up: float
    down: float
    nothing: float


SCALES = {
    np.dtype(np.float64): Scales(1e-280, 2.0**600, 2.0**-600, 1e-140),
    np.dtype(np.float32): Scales(1e-30, 2.0**96, 2.0**-80, 1e-18),
}


def _squares(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """The sum of squares."""
    if type(x) is np.ndarray and len(axis) == x.ndim and x.flags.forc:
        flat = x.ravel("K")
        total = np.dot(flat, flat)
        return total.reshape((1,) * x.ndim) if keepdims else total
    return kernels.sum(x * x, axis, keepdims)


def _euclidean_kernel(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    scales = SCALES.get(x.dtype)
    if scales is None:
        # Half precision: its squares are in the range of single precision.
        with np.errstate(over="ignore"):
            return _euclidean_kernel(x.astype(np.float32), axis, keepdims).astype(x.dtype)
    with np.errstate(over="ignore"):
        total = _squares(x, axis, keepdims)
    if not total.shape:
        usual = scales.least <= float(total) < math.inf
    else:
        usual = not total.size or (
            np.minimum.reduce(total, None) >= scales.least and np.maximum.reduce(total, None) < math.inf
        )
    if usual or not x.size:
        return np.sqrt(total)
    scale = np.where(total < scales.least, scales.up, np.where(total == math.inf, scales.down, 1.0)).astype(x.dtype)
    scaled = x * (scale if keepdims else np.reshape(scale, without(x.shape, axis, True)))
    with np.errstate(over="ignore"):
        return np.sqrt(_squares(scaled, axis, keepdims)) / scale


def _kept(F: Any, value: Any, shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Any:
    """What stands for each norm, with the axes of its vector."""
    return value if keepdims else F.reshape(value, without(shape, axis, True))


def _unit(F: Any, x: Any, y: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """The unit vector of x, all derivatives of which are 0 where x is 0."""
    y = _kept(F, y, x.shape, axis, keepdims)
    return x / F.where(y == 0, math.inf, y)


def _push(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    y, x = values
    return F.sum(tangents[0] * _unit(F, x, y, **params), **params)


_euclidean = general(
    "euclidean_norm",
    _euclidean_kernel,
    [lambda F, g, y, x, axis, keepdims: _kept(F, g, x.shape, axis, keepdims) * _unit(F, x, y, axis, keepdims)],
    jvp=_push,
    batch=shift("axis"),
)


def _euclidean_norm(x: Any, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    """The root of the sum of squares, for rules and other operations."""
    return fast.one(_euclidean, x, {"axis": axis, "keepdims": keepdims})


register("euclidean_norm", _euclidean_norm, _euclidean_kernel)


@composite(
    lambda s: [
        case(s.normal(3, 4)),
        case(s.normal(3, 4), 2, 1),
        case(s.away_from_zero(3, 4), 1, axis=0, keepdims=True),
        case(s.away_from_zero(3, 4), 3, axis=1),
        case(s.positive(3, 4), 2.5),
        case(s.normal(3, 4), math.inf, axis=1),
        case(s.normal(3, 4), -math.inf),
        case(s.tall(2, 3, 2), "nuc", (1, 2)),
    ]
)
def norm(F: Any, x: Any, p: Any = 2, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Vector norm over `axis`:  (sum |x|**p)**(1/p); its derivative is 0 where the norm is 0, as in PyTorch.

    Huge and tiny elements are scaled first, so that no power of them overflows or vanishes.

    Args:
        x: floating tensor.
        p: number; 2 (or "fro") is the Euclidean norm, inf the largest and -inf the smallest |x|, 0 the count of
            non-zero elements; "nuc" is the sum of the singular values of matrices, whose two axes `axis` names.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.norm(ho.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x = operand(F, x, "norm")
    if x.dtype.kind != "f":
        x = F.abs(x) if x.dtype.kind == "c" else F.astype(x, default_dtype())
    if p == "nuc":
        return F.linalg_norm(x, "nuc", axis, keepdims)
    axes = axes_of(axis, x.ndim, "norm")
    p = 2 if p == "fro" else p
    if not isinstance(p, (int, float)):
        raise ArgumentError(f"norm got p={p!r}, expected a number, inf, 'fro' or 'nuc'.")
    if p == 2:
        return F.euclidean_norm(x, axes, keepdims)
    size = F.abs(x)
    if p == math.inf:
        return F.amax(size, axis=axes, keepdims=keepdims)
    if p == -math.inf:
        return F.amin(size, axis=axes, keepdims=keepdims)
    if p == 0:
        return F.sum(F.astype(F.ne(x, 0), x.dtype), axis=axes, keepdims=keepdims)
    if p == 1:
        return F.sum(size, axis=axes, keepdims=keepdims)
    if 0 in [x.shape[a] for a in axes]:
        return F.sum(size, axis=axes, keepdims=keepdims)
    # The norm is homogeneous: scaling by the element that decides keeps powers in range, and changes no derivative.
    scale = F.stop_gradient((F.amax if p > 0 else F.amin)(size, axis=axes, keepdims=True))
    least = float(np.finfo(x.dtype).tiny)
    scale = F.where(F.isfinite(scale) & F.gt(scale, 0), F.maximum(scale, least), 1.0)
    size = size / scale
    zero = F.eq(size, 0)
    powers = F.where(zero, 0.0 if p > 0 else math.inf, F.pow(F.where(zero, 1.0, size), p))
    total = F.sum(powers, axis=axes, keepdims=True)
    empty = F.eq(total, 0)
    y = F.where(empty, 0.0, F.pow(F.where(empty, 1.0, total), 1 / p)) * scale
    return y if keepdims else F.reshape(y, without(x.shape, axes, False))
