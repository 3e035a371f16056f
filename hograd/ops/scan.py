"""Running sums, products and extrema along an axis, and differences, which undo the sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.backend import default_dtype
from hograd.core.batching import shift
from hograd.core.declare import case, general, linear, operation
from hograd.core.dispatch import apply, promote, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import axis_of, cut, tensor_of
from hograd.ops.extrema import Extremum

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "diff", "logcumsumexp"]


def _scans(s: Any) -> list[Any]:
    return [case(s.normal(3, 4), 0), case(s.normal(3, 5), -1), case(s.normal(4), dim=0), case(s.normal(2, 1), 1)]


def _integers_wide(x: Tensor, dtype: Any) -> Tensor:
    """Sums and products of bools and integers are int64."""
    if dtype is not None:
        return ops.astype(x, dtype)
    return ops.astype(x, np.int64) if x.dtype.kind in "bui" and x.dtype != np.int64 else x


def _cumsum_kernel(x: Any, axis: int) -> Any:
    return np.cumsum(x, axis=axis)


_cumsum = linear(
    "cumsum",
    _cumsum_kernel,
    lambda F, g, axis: F.flip(F.cumsum(F.flip(g, axis), axis), axis),
    batch=shift("axis"),
)


@operation(_cumsum_kernel, _scans)
def cumsum(x: Any, axis: int, *, dtype: Any = None) -> Tensor:
    """Running sums along an axis,  y_i = x_0 + ... + x_i.

    Args:
        x: tensor; bools and integers are summed as int64.
        axis: int (`dim`).
        dtype: convert to this dtype first.

    >>> import hograd as ho
    >>> ho.cumsum(ho.tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 3., 6.])
    """
    x = _integers_wide(tensor_of(x, "cumsum"), dtype)
    axis = axis_of(axis, x.ndim, "cumsum")
    return wrap(apply(_cumsum, (x,), {"axis": axis})) if x.ndim else ops.clone(x)


def _doubled(x: Tensor, axis: int, combine: Any) -> Tensor:
    """A scan of any associative function in log2 n rounds: each element takes in the one 1, 2, 4, ... places before."""
    length = x.shape[axis] if x.ndim else 1
    step = 1
    while step < length:
        later = combine(cut(x, axis, step, None), cut(x, axis, None, -step))
        x = ops.concatenate([cut(x, axis, None, step), later], axis)
        step *= 2
    return x


@operation(
    None,
    lambda s: [
        *_scans(s),
        case(s.array([[1.5, 0.0, 2.0, -3.0], [0.0, -1.0, 0.0, 2.0]]), 1),
        case(s.array([0.0, 0.0, 0.0]), 0),
    ],
)
def cumprod(x: Any, axis: int, *, dtype: Any = None) -> Tensor:
    """Running products along an axis,  y_i = x_0 ... x_i. Exact to any order also where elements are 0.

    Multiplies in log2 n rounds, so no derivative divides by an element.

    Args:
        x: tensor; bools and integers are multiplied as int64.
        axis: int (`dim`).
        dtype: convert to this dtype first.

    >>> import hograd as ho
    >>> x = ho.tensor([2.0, 0.0, 5.0], requires_grad=True)
    >>> ho.grad(ho.cumprod(x, 0).sum(), x)
    (tensor([ 1., 12.,  0.]),)
    """
    x = _integers_wide(tensor_of(x, "cumprod"), dtype)
    return _doubled(ops.clone(x), axis_of(axis, x.ndim, "cumprod"), ops.mul)


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """ln (e**a + e**b). Shifting by a constant changes no derivative; an infinite one would give inf - inf."""
    top = ops.stop_gradient(ops.maximum(a, b))
    top = ops.where(ops.isfinite(top), top, 0.0)
    total = ops.add(ops.exp(ops.sub(a, top)), ops.exp(ops.sub(b, top)))
    nothing = ops.eq(total, 0)
    return ops.where(nothing, -np.inf, ops.add(ops.log(ops.where(nothing, 1.0, total)), top))


@operation(None, lambda s: [*_scans(s), case(s.normal(2, 4) * 300, 1)])
def logcumsumexp(x: Any, axis: int) -> Tensor:
    """Running  y_i = ln (e**x_0 + ... + e**x_i)  along an axis, stable for large |x|.

    Args:
        x: floating tensor.
        axis: int (`dim`).

    Where all elements so far are -inf, y is -inf and its derivative 0.

    >>> import hograd as ho
    >>> ho.logcumsumexp(ho.tensor([1000.0, 1000.0]), 0)
    tensor([1000.0000, 1000.6931])
    """
    x = tensor_of(x, "logcumsumexp")
    x = ops.astype(x, default_dtype()) if x.dtype.kind in "bui" else ops.clone(x)
    return _doubled(x, axis_of(axis, x.ndim, "logcumsumexp"), _log_add)


def _running(name: str, accumulate: Any) -> Any:
    def kernel(x: Any, axis: int) -> Any:
        """Where the extremum so far stands: the last of equal ones; a nan stays the extremum until the next one."""
        places = np.cumsum(np.ones_like(x, dtype=np.int64), axis=axis) - 1
        here = (x == accumulate(x, axis=axis)) | (x != x)
        return np.maximum.accumulate(np.where(here, places, 0), axis=axis)

    return general(name, kernel, None, batch=shift("axis"))


_cummax = _running("cummax", np.maximum.accumulate)


_cummin = _running("cummin", np.minimum.accumulate)


def _with_places(primitive: Any, x: Any, axis: int) -> Extremum:
    x = tensor_of(x, primitive.name)
    axis = axis_of(axis, x.ndim, primitive.name)
    if not x.ndim:
        return Extremum(ops.clone(x), Tensor(np.int64(0)))
    places = wrap(apply(primitive, (x,), {"axis": axis}))
    return Extremum(ops.take_along_axis(x, places, axis), places)


@operation(None, _scans)
def cummax(x: Any, axis: int) -> Extremum:
    """The largest element so far along an axis, and where it stands: `values` and `indices`.

    Args:
        x: tensor.
        axis: int (`dim`).

    Of equal elements the last counts, and gets the derivative. A nan is larger than all.

    >>> import hograd as ho
    >>> ho.cummax(ho.tensor([1.0, 3.0, 2.0]), 0).values
    tensor([1., 3., 3.])
    """
    return _with_places(_cummax, x, axis)


@operation(None, _scans)
def cummin(x: Any, axis: int) -> Extremum:
    """The smallest element so far along an axis, and where it stands: `values` and `indices`.

    Args:
        x: tensor.
        axis: int (`dim`).

    Of equal elements the last counts, and gets the derivative. A nan is smaller than all.

    >>> import hograd as ho
    >>> ho.cummin(ho.tensor([3.0, 1.0, 2.0]), 0).indices
    tensor([0, 1, 1])
    """
    return _with_places(_cummin, x, axis)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4)),
        case(s.normal(3, 4), 2, 0),
        case(s.normal(4), 0),
        case(s.normal(2, 3), 1, -1, s.normal(2, 1), s.normal(2, 2)),
    ],
)
def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Differences of neighbours along an axis,  y_i = x_(i+1) - x_i, taken `n` times.

    Args:
        x: tensor of at least one axis; of bools, whether neighbours differ.
        n: how often, at least 0; for 0 the answer is `x`, with nothing joined to it.
        axis: int (`dim`).
        prepend, append: tensors to join to `x` first.

    >>> import hograd as ho
    >>> ho.diff(ho.tensor([1.0, 4.0, 9.0]))
    tensor([3., 5.])
    """
    x = tensor_of(x, "diff")
    if not x.ndim:
        raise ShapeError("diff expects input to be at least one-dimensional.")
    if n < 0:
        raise ArgumentError(f"diff got n={n}, expected at least 0.")
    axis = axis_of(axis, x.ndim, "diff")
    if not n:
        return ops.clone(x)
    joined = [part for part in (prepend, x, append) if part is not None]
    x = ops.concatenate(joined, axis) if len(joined) > 1 else x
    for _ in range(n):
        later, earlier = promote("diff", cut(x, axis, 1, None), cut(x, axis, None, -1))
        x = ops.ne(later, earlier) if x.dtype == np.bool_ else ops.sub(later, earlier)
    return x
