"""Reductions: sums, means and products over any axes.

`axis` (or `dim`) is an int, a tuple or None for all; `keepdims` (or `keepdim`) keeps the reduced axes with length 1.
"""

from __future__ import annotations

import builtins
import functools
import math
from typing import Any

import numpy as np

from hograd.backend import default_dtype, is_number
from hograd.core import fast
from hograd.core.batching import shift
from hograd.core.declare import case, composite, general, linear, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError
from hograd.ops.axes import axes_of, operand, tensor_of, without

__all__ = ["all", "any", "logsumexp", "mean", "prod", "std", "sum", "var"]


def reductions(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4)),
        case(s.normal(3, 4), 0),
        case(s.normal(3, 4), axis=-1, keepdims=True),
        case(s.normal(2, 3, 4), (0, 2)),
        case(s.normal()),
        case(s.normal(5).reshape(5, 1), dim=1, keepdim=True),
    ]


def spread(F: Any, g: Any, shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Any:
    """A reduction's cotangent, repeated along the axes that were reduced."""
    if not keepdims and g.shape:
        g = F.reshape(g, without(shape, axis, True))
    return F.broadcast_to(g, shape)


@functools.cache
def ones(n: int, dtype: Any) -> Any:
    """A vector of ones, by which a product sums faster than NumPy's sums over few elements."""
    return np.ones(n, dtype)


def sum_rows(x: Any) -> Any:
    """Sums over a short last axis, kept with length 1: a product with ones is six times faster than NumPy's sum."""
    n = x.shape[-1]
    if type(x) is np.ndarray and 2 <= n <= 64 and x.ndim > 1 and x.dtype.char in "fd" and x.flags.c_contiguous:
        return np.dot(x, ones(n, x.dtype))[..., None]
    return np.add.reduce(x, axis=-1, keepdims=True)


def _in_float32(kernel: Any) -> Any:
    """A kernel of sums in which those of float16 are added in float32, as in PyTorch, and rounded once."""

    @functools.wraps(kernel)
    def wide(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if x.dtype.char == "e":
            return kernel(x.astype(np.float32), axis, keepdims).astype(x.dtype)
        return kernel(x, axis, keepdims)

    return wide


@_in_float32
def _sum_kernel(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if x.ndim > 1 and (axis == (x.ndim - 1,) or axis == x.ndim - 1):
        rows = sum_rows(x)
        return rows if keepdims else rows[..., 0]
    if axis == (0,) and x.ndim == 2 and not keepdims and type(x) is np.ndarray and x.dtype.char in "fd":
        n = x.shape[0]
        if 2 <= n <= 1024 and x.flags.c_contiguous:
            return np.dot(ones(n, x.dtype), x)
    return np.add.reduce(x, axis=axis, keepdims=keepdims)


_sum = linear(
    "sum",
    _sum_kernel,
    lambda F, g, x_shape, axis, keepdims: spread(F, g, x_shape, axis, keepdims),
    batch=shift("axis"),
)


@operation(_sum_kernel, reductions)
def sum(x: Any, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    """Sum over `axis`; 0 over no elements. Bools and integers are summed as int64.

    Args:
        x: tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).
        dtype: convert to this dtype first.

    >>> import hograd as ho
    >>> ho.sum(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    x = tensor_of(x, "sum")
    if dtype is not None:
        x = ops.astype(x, dtype)
    elif x.dtype.kind in "bui" and x.dtype != np.int64:
        x = ops.astype(x, np.int64)
    return fast.one(_sum, x, {"axis": axes_of(axis, x.ndim, "sum"), "keepdims": builtins.bool(keepdims)})


@_in_float32
def _mean_kernel(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    count = x.size if axis is None else math.prod([x.shape[a] for a in (axis if type(axis) is tuple else (axis,))])
    total = np.add.reduce(x, axis=axis, keepdims=keepdims)
    return total / count if count else total * math.nan


_mean = linear(
    "mean",
    _mean_kernel,
    lambda F, g, x_shape, axis, keepdims: spread(
        F, g / (math.prod([x_shape[a] for a in axis]) or math.nan), x_shape, axis, keepdims
    ),
    batch=shift("axis"),
)


@operation(_mean_kernel, reductions)
def mean(x: Any, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    """Arithmetic mean over `axis`; nan over no elements.

    Args:
        x: floating tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).
        dtype: convert to this dtype first.

    Bools and integers are converted to the default dtype.

    >>> import hograd as ho
    >>> ho.mean(ho.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(2.5000)
    """
    x = tensor_of(x, "mean")
    if dtype is not None:
        x = ops.astype(x, dtype)
    if x.dtype.kind in "bui":
        x = ops.astype(x, default_dtype())
    return fast.one(_mean, x, {"axis": axes_of(axis, x.ndim, "mean"), "keepdims": builtins.bool(keepdims)})


_any = general(
    "any", lambda x, axis=None, keepdims=False: np.any(x, axis, keepdims=keepdims), None, batch=shift("axis")
)


_all = general(
    "all", lambda x, axis=None, keepdims=False: np.all(x, axis, keepdims=keepdims), None, batch=shift("axis")
)


def _masks(s: Any) -> list[Any]:
    return [case(s.mask(3, 4)), case(s.mask(3, 4), 0), case(s.mask(3, 4), -1, keepdims=True)]


@operation(_any.kernel, _masks, differentiable=False)
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether any element over `axis` is true; False over none.

    >>> import hograd as ho
    >>> ho.any(ho.tensor([[True, False], [False, False]]), axis=1)
    tensor([ True, False])
    """
    x = tensor_of(x, "any")
    return fast.one(_any, x, {"axis": axes_of(axis, x.ndim, "any"), "keepdims": builtins.bool(keepdims)})


@operation(_all.kernel, _masks, differentiable=False)
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether all elements over `axis` are true; True over none.

    >>> import hograd as ho
    >>> ho.all(ho.tensor([[True, True], [False, True]]), axis=1)
    tensor([ True, False])
    """
    x = tensor_of(x, "all")
    return fast.one(_all, x, {"axis": axes_of(axis, x.ndim, "all"), "keepdims": builtins.bool(keepdims)})


@composite(
    lambda s: [
        case(s.normal(3, 4), 1),
        case(s.normal(3, 4), axis=0, keepdims=True),
        case(s.normal(2, 3)),
        case(s.normal(2, 3, 2), (0, 2)),
        case(s.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]]), 1),
    ]
)
def prod(F: Any, x: Any, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    """Product over `axis`; 1 over no elements. Exact to any order also where elements are 0.

    Multiplies the two halves of the axis until one element is left, so no derivative divides by an element.

    Args:
        x: tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).
        dtype: convert to this dtype first.

    >>> import hograd as ho
    >>> x = ho.tensor([2.0, 0.0, 5.0], requires_grad=True)
    >>> ho.grad(ho.prod(x), x)
    (tensor([ 0., 10.,  0.]),)
    """
    x = operand(F, x, "prod")
    x = x if dtype is None else F.astype(x, dtype)
    rank = x.ndim
    axes = axes_of(axis, rank, "prod")
    left = tuple(i for i in range(rank) if i not in axes)
    shape = tuple(x.shape[i] for i in left)
    kept = without(x.shape, axes, keepdims)
    count = math.prod([x.shape[i] for i in axes])
    y = F.reshape(F.permute(x, left + axes), (*shape, count))
    if count == 0:
        return F.reshape(F.sum(y, axis=len(left)) + 1, kept)
    while y.shape[-1] > 1:
        half, odd = divmod(y.shape[-1], 2)
        folded = y[..., :half] * y[..., half : 2 * half]
        y = F.concatenate([folded, y[..., 2 * half :]], axis=len(left)) if odd else folded
    return F.reshape(y, kept)


def _moments(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4)),
        case(s.normal(3, 4), 0),
        case(s.normal(3, 4), 1, correction=0, keepdims=True),
        case(s.normal(2, 3, 4), (0, 2), unbiased=False),
    ]


def _centered(
    F: Any, name: str, x: Any, axis: Any, correction: float | None, unbiased: bool | None
) -> tuple[Any, tuple[int, ...], float]:
    """The distances from the mean, the axes of it, and the number that their squares are divided by."""
    x = operand(F, x, name)
    if isinstance(axis, builtins.bool):
        axis, unbiased = None, axis
    if unbiased is not None or correction is None:
        correction = 0 if unbiased is False else 1
    if not is_number(correction):
        raise ArgumentError(f"{name} got correction={correction!r}, expected a number.")
    axes = axes_of(axis, x.ndim, name)
    centered = x - F.mean(x, axis=axes, keepdims=True)
    freedom = math.prod([x.shape[a] for a in axes]) - correction
    return F.abs(centered) if x.dtype.kind == "c" else centered, axes, freedom if freedom > 0 else math.nan


@composite(_moments)
def var(
    F: Any,
    x: Any,
    axis: Any = None,
    *,
    correction: float | None = 1,
    keepdims: bool = False,
    unbiased: bool | None = None,
) -> Tensor:
    """Variance over `axis`:  sum |x - mean|**2 / max(n - correction, 0).

    Args:
        x: floating tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        correction: 1 (PyTorch's default, also meant by None) for the unbiased estimate, 0 for NumPy's.
        keepdims: keep the reduced axes with length 1 (`keepdim`).
        unbiased: older name: True is correction 1, False is correction 0.

    nan where n is at most `correction`.

    >>> import hograd as ho
    >>> ho.var(ho.tensor([1.0, 2.0, 4.0]))
    tensor(2.3333)
    """
    centered, axes, freedom = _centered(F, "var", x, axis, correction, unbiased)
    return F.sum(centered * centered, axis=axes, keepdims=keepdims) / freedom


@composite(_moments)
def std(
    F: Any,
    x: Any,
    axis: Any = None,
    *,
    correction: float | None = 1,
    keepdims: bool = False,
    unbiased: bool | None = None,
) -> Tensor:
    """Standard deviation over `axis`, the square root of `var`; its derivative is 0 where it is 0, as in PyTorch.

    Args:
        x: floating tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        correction: 1 (PyTorch's default, also meant by None) for the unbiased estimate, 0 for NumPy's.
        keepdims: keep the reduced axes with length 1 (`keepdim`).
        unbiased: older name: True is correction 1, False is correction 0.

    >>> import hograd as ho
    >>> ho.std(ho.tensor([1.0, 2.0, 4.0]))
    tensor(1.5275)
    """
    centered, axes, freedom = _centered(F, "std", x, axis, correction, unbiased)
    return F.euclidean_norm(centered, axes, keepdims) / freedom**0.5


@composite(
    lambda s: [
        case(s.normal(3, 4)),
        case(s.normal(3, 4), 1),
        case(s.normal(3, 4), axis=(0, 1), keepdims=True),
        case(s.normal(3, 4) * 300, 0),
    ]
)
def logsumexp(F: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """ln sum e**x over `axis`, stable for large |x|; -inf over elements that all are, and over none.

    Args:
        x: floating tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.logsumexp(ho.tensor([1000.0, 1000.0]))
    tensor(1000.6931)
    """
    x = operand(F, x, "logsumexp")
    axes = axes_of(axis, x.ndim, "logsumexp")
    if 0 in [x.shape[a] for a in axes]:
        return F.log(F.sum(F.exp(x), axis=axes, keepdims=keepdims))
    # Shifting by a constant changes no derivative; an infinite maximum would give inf - inf.
    top = F.stop_gradient(F.amax(x, axis=axes, keepdims=True))
    top = F.where(F.isfinite(top), top, 0.0)
    total = F.log(F.sum(F.exp(x - top), axis=axes, keepdims=True)) + top
    return total if keepdims else F.reshape(total, without(x.shape, axes, False))
