"""Medians, quantiles, counts, and reductions that pass over nan."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from hograd.backend import is_number
from hograd.core.batching import shift
from hograd.core.declare import case, general, operation
from hograd.core.dispatch import apply, promote, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import axis_of, tensor_of
from hograd.ops.checked import checked
from hograd.ops.extrema import Extremum
from hograd.ops.reduce import reductions

__all__ = [
    "aminmax",
    "count_nonzero",
    "median",
    "nanmean",
    "nanmedian",
    "nanquantile",
    "nansum",
    "quantile",
    "std_mean",
    "var_mean",
]


class Moments(NamedTuple):
    """A spread (variance or standard deviation) and the mean."""

    spread: Tensor
    mean: Tensor


class Range(NamedTuple):
    """The smallest and the largest element."""

    min: Tensor
    max: Tensor


def _middle(name: str, skip: bool) -> Any:
    def kernel(x: Any, axis: int) -> Any:
        """Where the lower median stands; sorting puts nan last."""
        order = np.argsort(x, axis=axis, kind="stable")
        unknown = x != x
        known = x.shape[axis] - np.sum(unknown, axis=axis, keepdims=True)
        middle = np.take_along_axis(order, np.maximum(known - 1, 0) // 2, axis)
        if skip:
            return middle
        return np.where(known < x.shape[axis], np.argmax(unknown, axis=axis, keepdims=True), middle)

    return general(name, kernel, None, batch=shift("axis"))


_median = _middle("median", skip=False)


_nanmedian = _middle("nanmedian", skip=True)


def _median_of(primitive: Any, x: Any, axis: int | None, keepdims: bool) -> Any:
    x = tensor_of(x, primitive.name)
    if not x.numel() and (axis is None or not x.shape[axis_of(axis, x.ndim, primitive.name)]):
        raise ShapeError(f"{primitive.name} over no elements: shape {tuple(x.shape)}, axis {axis}.")
    if axis is None:
        flat = ops.reshape(x, (-1,))
        value = ops.getitem(flat, wrap(apply(primitive, (flat.detach(),), {"axis": 0})))[0]
        if x.dtype.kind != "f":
            return value
        # Equal elements share the derivative: the largest of those that are not greater.
        return ops.where(ops.isnan(value), value, ops.amax(ops.where(ops.le(flat, value), flat, -math.inf)))
    axis = axis_of(axis, x.ndim, primitive.name)
    if not x.ndim:
        return Extremum(ops.clone(x), Tensor(np.int64(0)))
    places = wrap(apply(primitive, (x,), {"axis": axis}))
    found = Extremum(ops.take_along_axis(x, places, axis), places)
    return found if keepdims else Extremum(*(ops.squeeze(part, axis) for part in found))


def _medians(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4)),
        case(s.normal(3, 4), 0),
        case(s.normal(3, 4), 1, keepdims=True),
        case(s.normal(5), dim=-1),
    ]


@operation(None, _medians)
def median(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The middle element, the lower one of two; nan if an element is.

    Args:
        x: tensor.
        axis: None for the median of all elements, whose derivative equal elements share; an int (`dim`) gives
            `values` and `indices`, with the derivative going to that position.
        keepdims: keep the axis with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.median(ho.tensor([1.0, 7.0, 5.0, 3.0]))
    tensor(3.)
    """
    return _median_of(_median, x, axis, keepdims)


@operation(None, _medians)
def nanmedian(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The middle element, the lower one of two, among those that are not nan.

    Args:
        x: tensor.
        axis: None for the median of all elements, whose derivative equal elements share; an int (`dim`) gives
            `values` and `indices`, with the derivative going to that position.
        keepdims: keep the axis with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.nanmedian(ho.tensor([1.0, ho.nan, 5.0, 3.0]))
    tensor(3.)
    """
    return _median_of(_nanmedian, x, axis, keepdims)


def _quantiles(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4), 0.4),
        case(s.normal(3, 4), 0.35, 0),
        case(s.normal(5, 2), s.array([0.15, 0.6, 0.95]), 0, keepdims=True),
        case(s.normal(6), 0.35, interpolation="lower"),
        case(s.normal(6), 0.35, interpolation="higher"),
        case(s.normal(6), 0.35, interpolation="midpoint"),
        case(s.normal(6), 0.35, interpolation="nearest"),
    ]


def _in_range(q: Any, name: str) -> Any:
    """Numbers that are checked to be from 0 to 1."""

    def check(known: Any) -> None:
        if not np.all((known >= 0) & (known <= 1)):
            raise ArgumentError(f"{name}() q values must be in the range [0, 1], found {known}.")

    if isinstance(q, Tensor):
        return checked(q, check)
    check(q)
    return q


def _quantile_of(name: str, skip: bool, x: Any, q: Any, axis: int | None, keepdims: bool, interpolation: str) -> Any:
    x = tensor_of(x, name)
    if x.dtype.kind != "f":
        raise DtypeError(f"{name}() x must be a floating tensor, found dtype {x.dtype}.")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ArgumentError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation!r}."
        )
    single = is_number(q)
    if not single:
        q = promote(name, x, ops.astype(tensor_of(q, name), x.dtype))[1]
        if q.ndim > 1:
            raise ShapeError(f"{name}() q must be a scalar or 1D tensor, found shape {tuple(q.shape)}.")
        single, q = not q.ndim, ops.reshape(q, (-1,))
    q = _in_range(q, name)
    place = None if axis is None else axis_of(axis, x.ndim, name)
    left = (1,) * x.ndim if place is None else tuple(1 if i == place else n for i, n in enumerate(x.shape))
    rows = ops.reshape(x, (-1,)) if place is None or not x.ndim else ops.moveaxis(x, place, -1)
    if not rows.shape[-1]:
        raise ShapeError(f"{name}() x must be non-empty along the axis, found shape {tuple(x.shape)}.")
    unknown = ops.isnan(rows)
    rows = ops.sort(rows, -1).values
    known = ops.sum(ops.logical_not(unknown), axis=-1, keepdims=True)
    ranks = q * (ops.astype(known if skip else known * 0 + rows.shape[-1], x.dtype) - 1)
    below = ops.astype(ops.stop_gradient(ops.maximum(ranks, 0.0)), np.int64)
    part = ranks - ops.astype(below, x.dtype)
    above = ops.minimum(below + 1, rows.shape[-1] - 1)
    if interpolation in ("lower", "higher", "nearest"):
        up = {
            "lower": ops.lt(part, 0),
            "higher": ops.gt(part, 0),
            "nearest": ops.where(ops.eq(below % 2, 1), ops.ge(part, 0.5), ops.gt(part, 0.5)),
        }[interpolation]
        y = ops.take_along_axis(rows, ops.where(up, above, below), -1)
    else:
        low = ops.take_along_axis(rows, below, -1)
        # Where the quantile is an element its neighbour does not count, be it infinite or nan.
        high = ops.take_along_axis(rows, ops.where(ops.gt(part, 0), above, below), -1)
        y = low + (high - low) * (ops.astype(ops.gt(part, 0), x.dtype) / 2 if interpolation == "midpoint" else part)
    if not skip:
        y = ops.where(ops.any(unknown, axis=-1, keepdims=True), math.nan, y)
    y = ops.moveaxis(y, -1, 0)
    shape = left if keepdims else tuple(n for i, n in enumerate(left) if place is not None and i != place)
    return ops.reshape(y, (*(() if single else y.shape[:1]), *shape))


@operation(None, _quantiles)
def quantile(
    x: Any, q: Any, axis: int | None = None, keepdims: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The q-quantiles over an axis: the value at rank q (n - 1) of the sorted elements; nan if an element is.

    Args:
        x: floating tensor.
        q: number, or tensor of shape () or (k,), from 0 to 1.
        axis: int, or None for all elements (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).
        interpolation: between the two elements next to the rank: "linear", "lower", "higher", "midpoint" or
            "nearest".

    Returns:
        With an axis of length k in front if `q` has one.

    >>> import hograd as ho
    >>> ho.quantile(ho.tensor([1.0, 2.0, 4.0]), ho.tensor([0.25, 0.5]))
    tensor([1.5000, 2.0000])
    """
    return _quantile_of("quantile", False, x, q, axis, keepdims, interpolation)


@operation(None, _quantiles)
def nanquantile(
    x: Any, q: Any, axis: int | None = None, keepdims: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The q-quantiles of those elements over an axis that are not nan; nan if all are.

    Args:
        x: floating tensor.
        q: number, or tensor of shape () or (k,), from 0 to 1.
        axis: int, or None for all elements (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).
        interpolation: as in `quantile`.

    >>> import hograd as ho
    >>> ho.nanquantile(ho.tensor([1.0, 2.0, ho.nan]), 0.5)
    tensor(1.5000)
    """
    return _quantile_of("nanquantile", True, x, q, axis, keepdims, interpolation)


def _known(x: Tensor) -> tuple[Tensor, Tensor]:
    """`x` with 0 for nan, and where it is not nan."""
    unknown = ops.isnan(x)
    return ops.where(unknown, 0, x), ops.logical_not(unknown)


@operation(None, reductions)
def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Sum over `axis` of the elements that are not nan; the others have derivative 0.

    Args:
        x: tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.nansum(ho.tensor([1.0, ho.nan, 2.0]))
    tensor(3.)
    """
    return ops.sum(_known(tensor_of(x, "nansum"))[0], axis, keepdims)


@operation(None, reductions)
def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Mean over `axis` of the elements that are not nan; nan over none.

    Args:
        x: floating tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.nanmean(ho.tensor([1.0, ho.nan, 2.0]))
    tensor(1.5000)
    """
    values, known = _known(tensor_of(x, "nanmean"))
    count = ops.astype(ops.sum(known, axis, keepdims), values.dtype)
    return ops.div(ops.sum(values, axis, keepdims), ops.where(ops.eq(count, 0), math.nan, count))


@operation(None, reductions, differentiable=False)
def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """How many elements over `axis` are not 0.

    >>> import hograd as ho
    >>> ho.count_nonzero(ho.tensor([1.0, 0.0, 2.0]))
    tensor(2)
    """
    return ops.sum(ops.ne(tensor_of(x, "count_nonzero"), 0), axis, keepdims)


def _moments(s: Any) -> list[Any]:
    return [case(s.normal(3, 4)), case(s.normal(3, 4), 0), case(s.normal(3, 4), 1, correction=0, keepdims=True)]


@operation(None, _moments)
def var_mean(
    x: Any, axis: Any = None, *, correction: float = 1, keepdims: bool = False, unbiased: bool | None = None
) -> Moments:
    """Variance and mean over `axis`, as a pair.

    Args:
        x: floating tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        correction: 1 for the unbiased estimate of the variance, 0 for the mean square.
        keepdims: keep the reduced axes with length 1 (`keepdim`).
        unbiased: older name: True is correction 1, False is correction 0.

    >>> import hograd as ho
    >>> variance, mean = ho.var_mean(ho.tensor([1.0, 2.0, 3.0]))
    >>> variance, mean
    (tensor(1.), tensor(2.))
    """
    if isinstance(axis, bool):
        axis, unbiased = None, axis
    spread = ops.var(x, axis, correction=correction, keepdims=keepdims, unbiased=unbiased)
    return Moments(spread, ops.mean(x, axis, keepdims))


@operation(None, _moments)
def std_mean(
    x: Any, axis: Any = None, *, correction: float = 1, keepdims: bool = False, unbiased: bool | None = None
) -> Moments:
    """Standard deviation and mean over `axis`, as a pair; where the deviation is 0 its derivative is 0.

    Args:
        x: floating tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        correction: 1 for the unbiased estimate of the variance, 0 for the mean square.
        keepdims: keep the reduced axes with length 1 (`keepdim`).
        unbiased: older name: True is correction 1, False is correction 0.

    >>> import hograd as ho
    >>> deviation, mean = ho.std_mean(ho.tensor([1.0, 2.0, 3.0]))
    >>> deviation, mean
    (tensor(1.), tensor(2.))
    """
    if isinstance(axis, bool):
        axis, unbiased = None, axis
    spread = ops.std(x, axis, correction=correction, keepdims=keepdims, unbiased=unbiased)
    return Moments(spread, ops.mean(x, axis, keepdims))


@operation(None, reductions)
def aminmax(x: Any, axis: Any = None, keepdims: bool = False) -> Range:
    """Smallest and largest element over `axis`: `min` and `max`; ties share the derivative equally.

    Args:
        x: tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.aminmax(ho.tensor([1.0, 5.0, 3.0])).max
    tensor(5.)
    """
    return Range(ops.amin(x, axis, keepdims), ops.amax(x, axis, keepdims))
