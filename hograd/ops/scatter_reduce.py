"""Reducing the elements that are scattered to one place."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.batching import shift
from hograd.core.declare import case, general, operation
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor, concrete
from hograd.errors import ArgumentError, CaptureError, LevelError
from hograd.ops.axes import axis_of, cut, tensor_of
from hograd.ops.gather import (
    along_one,
    indices_of,
    places_along,
    rows_along,
    shaped,
    slices_along,
    source_of,
)

__all__ = ["index_reduce", "scatter_reduce"]


def _ranks_kernel(x: Any, axis: int) -> Any:
    """How many elements of the same value stand before each one along an axis."""
    order = np.argsort(x, axis=axis, kind="stable")
    row = np.take_along_axis(x, order, axis)
    places = np.cumsum(np.ones_like(order), axis=axis) - 1
    first = np.ones_like(cut(row, axis, 0, 1), dtype=bool)
    starts = np.concatenate([first, cut(row, axis, 1, None) != cut(row, axis, 0, -1)], axis)
    ranks = places - np.maximum.accumulate(np.where(starts, places, 0), axis=axis)
    return np.take_along_axis(ranks, np.argsort(order, axis=axis), axis)


_ranks = general("ranks", _ranks_kernel, None, batch=shift("axis"))


def _neutral(x: Tensor, reduce: str) -> Any:
    """What does not change the product or extremum of others."""
    if reduce == "prod":
        return 1
    if x.dtype.kind == "f":
        return -np.inf if reduce == "amax" else np.inf
    return np.iinfo(x.dtype).min if reduce == "amax" else np.iinfo(x.dtype).max


def _samples(s: Any) -> list[Any]:
    index = np.array([[0, 3, 0], [2, 2, 2]])
    return [
        case(s.normal(3, 4), 1, index, s.normal(2, 3), "sum"),
        case(s.normal(3, 4), 1, index, s.normal(2, 3), "mean"),
        case(s.normal(3, 4), 1, index, s.normal(2, 3), "prod"),
        case(s.normal(3, 4), 1, index, s.normal(2, 3), "amax"),
        case(s.normal(4, 3), 0, index, s.normal(2, 3), "amin"),
        case(s.normal(4), 0, np.array([1, 1, 3]), s.normal(3), "sum", include_self=False),
        case(s.normal(4), 0, np.array([1, 1, 3]), s.normal(3), "mean", include_self=False),
        case(s.normal(4), 0, np.array([1, 1, 3]), s.normal(3), "prod", include_self=False),
        case(s.normal(4), 0, np.array([1, 1, 3]), s.normal(4), "amax", include_self=False),
    ]


@operation(None, _samples)
def scatter_reduce(x: Any, axis: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """`x` with the elements of `src` that go to one place along an axis reduced to one, together with that of `x`.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: integer tensor with as many axes as `x`, along the others no longer than it; positions may repeat.
        src: tensor no smaller than `index`.
        reduce: "sum", "mean", "prod", "amax" or "amin".
        include_self: whether the element of `x` counts too; where nothing goes it stays in any case.

    Of equal extrema each has an equal share of the derivative; products are exact to any order also with zeros. The
    memory for products and extrema grows with the largest number of elements that go to one place.

    >>> import hograd as ho
    >>> ho.scatter_reduce(ho.ones(3), 0, ho.tensor([0, 0, 2]), ho.tensor([2.0, 5.0, 3.0]), "amax")
    tensor([5., 1., 3.])
    """
    x, index = tensor_of(x, "scatter_reduce"), indices_of(index, "scatter_reduce")
    if reduce not in ("sum", "mean", "prod", "amax", "amin"):
        raise ArgumentError(f"reduce argument must be sum, mean, prod, amax or amin, got {reduce!r}.")
    axis = axis_of(axis, x.ndim, "scatter_reduce")
    if not index.numel():
        return ops.clone(x)
    if not x.ndim or not index.ndim:
        answer = scatter_reduce(along_one(x), 0, along_one(index), src, reduce, include_self=include_self)
        return shaped(answer, x)
    places = places_along(x, axis, index, "scatter_reduce")
    src = source_of(src, x, index, "scatter_reduce")
    count = ops.at_add(ops.zeros_like(x, dtype=np.int64), places, 1)
    reached = ops.gt(count, 0)
    if reduce in ("sum", "mean"):
        total = ops.at_add(x if include_self else ops.where(reached, 0, x), places, src)
        if reduce == "sum":
            return total
        divide = ops.div if x.dtype.kind == "f" else ops.floor_divide
        return divide(total, ops.astype(count + 1 if include_self else ops.maximum(count, 1), x.dtype))
    ranks = wrap(apply(_ranks, (index.detach(),), {"axis": axis}))
    try:
        depth = int(concrete(ranks, "scatter_reduce").max()) + 1
    except (LevelError, CaptureError):
        depth = index.shape[axis]
    empty = ops.expand_dims(ops.zeros_like(x) + _neutral(x, reduce), -1)
    table = ops.at_set(ops.broadcast_to(empty, (*x.shape, depth)), (*places, ranks), src)
    if include_self:
        table = ops.concatenate([ops.expand_dims(x, -1), table], -1)
    return ops.where(reached, getattr(ops, reduce)(table, -1), x)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), 1, np.array([3, 0, 3]), s.normal(3, 3), "prod"),
        case(s.normal(3, 2), 0, np.array([1, 1]), s.normal(2, 2), "mean", include_self=False),
        case(s.normal(4), 0, np.array([2, 2, 0]), s.normal(3), "amax"),
        case(s.normal(4), 0, np.array([2, 2, 0]), s.normal(3), "amin", include_self=False),
    ],
)
def index_reduce(x: Any, axis: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """`x` with the slices of `source` that go to one position along an axis reduced to one, together with that of `x`.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: integers, shape (k,), which may repeat.
        source: tensor of the shape of `x`, but k along the axis.
        reduce: "prod", "mean", "amax" or "amin".
        include_self: whether the slice of `x` counts too; where nothing goes it stays in any case.

    Of equal extrema each has an equal share of the derivative.

    >>> import hograd as ho
    >>> ho.index_reduce(ho.ones(3), 0, ho.tensor([0, 0, 2]), ho.tensor([2.0, 5.0, 3.0]), "prod")
    tensor([10.,  1.,  3.])
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ArgumentError(
            f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce!r}."
        )
    x, row, places = rows_along(x, axis, index, "index_reduce")
    source = slices_along(source, row, places, "index_reduce")
    position = len(places) - 1
    numbers = ops.reshape(places[-1], (-1,) + (1,) * (row.ndim - 1 - position))
    answer = scatter_reduce(
        row, position, ops.broadcast_to(numbers, source.shape), source, reduce, include_self=include_self
    )
    return shaped(answer, x)
