"""Sorting, ranks and searching: positions are found on arrays, and values are read at them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.batching import in_front, shift
from hograd.core.declare import case, general, operation
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor, concrete
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import axis_of, beside, cut, tensor_of, whole
from hograd.ops.extrema import Extremum

__all__ = [
    "argsort",
    "bucketize",
    "isin",
    "kthvalue",
    "mode",
    "msort",
    "searchsorted",
    "sort",
    "topk",
    "unique",
    "unique_consecutive",
]


def _argsort_kernel(x: Any, axis: int = -1, descending: bool = False) -> Any:
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Backwards, so that equal elements keep their order.
    order = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(order, axis)


_argsort = general("argsort", _argsort_kernel, None, batch=shift("axis"))


def _sorts(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4)),
        case(s.normal(4, 3), 0),
        case(s.normal(5), descending=True),
        case(s.normal(2, 1), dim=1),
    ]


@operation(_argsort_kernel, _sorts, differentiable=False)
def argsort(x: Any, axis: int = -1, descending: bool = False, *, stable: bool = True) -> Tensor:
    """Positions that sort `x` along an axis; equal elements keep their order, and nan is the largest.

    Args:
        x: tensor.
        axis: int (`dim`).
        descending: from the largest to the smallest.
        stable: taken for PyTorch's sake: the order is always stable.

    >>> import hograd as ho
    >>> ho.argsort(ho.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    x = tensor_of(x, "argsort")
    axis = axis_of(axis, x.ndim, "argsort")
    if not x.ndim:
        return Tensor(np.int64(0))
    return wrap(apply(_argsort, (x,), {"axis": axis, "descending": bool(descending)}))


def _read(x: Tensor, places: Tensor, axis: int) -> Extremum:
    return Extremum(ops.take_along_axis(x, places, axis) if x.ndim else ops.clone(x), places)


@operation(None, _sorts)
def sort(x: Any, axis: int = -1, descending: bool = False, *, stable: bool = True) -> Extremum:
    """`x` sorted along an axis, and where each element stood: `values` and `indices`.

    Args:
        x: tensor.
        axis: int (`dim`).
        descending: from the largest to the smallest.
        stable: taken for PyTorch's sake: equal elements always keep their order.

    A nan counts as the largest. The derivative goes back to where each element stood.

    >>> import hograd as ho
    >>> ho.sort(ho.tensor([3.0, 1.0, 2.0])).values
    tensor([1., 2., 3.])
    """
    x = tensor_of(x, "sort")
    return _read(x, argsort(x, axis, descending), axis_of(axis, x.ndim, "sort"))


@operation(None, lambda s: [case(s.normal(3, 2)), case(s.normal(4))])
def msort(x: Any) -> Tensor:
    """`x` sorted along its first axis.

    >>> import hograd as ho
    >>> ho.msort(ho.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    return sort(x, 0).values


@operation(
    None,
    lambda s: [
        case(s.normal(5), 2),
        case(s.normal(3, 4), 2, 0, largest=False),
        case(s.normal(2, 3), 3, dim=1),
    ],
)
def topk(x: Any, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> Extremum:
    """The `k` largest elements along an axis, from the largest on, and where they stand: `values` and `indices`.

    Args:
        x: tensor.
        k: how many, from 0 to the length of the axis.
        axis: int (`dim`).
        largest: False for the smallest ones, from the smallest on.
        sorted: taken for PyTorch's sake: the answer is always sorted.

    Of equal elements the first count. A nan counts as the largest.

    >>> import hograd as ho
    >>> ho.topk(ho.tensor([1.0, 5.0, 3.0]), 2).values
    tensor([5., 3.])
    """
    x = tensor_of(x, "topk")
    axis = axis_of(axis, x.ndim, "topk")
    k = whole(k, "topk", "k")
    if not 0 <= k <= (x.shape[axis] if x.ndim else 1):
        raise ShapeError(f"selected index k out of range: topk got k={k} for axis {axis} of shape {tuple(x.shape)}.")
    order = argsort(x, axis, largest)
    return _read(x, cut(order, axis, None, k) if x.ndim else order, axis)


@operation(None, lambda s: [case(s.normal(5), 2), case(s.normal(3, 4), 1, 0, keepdims=True), case(s.normal(2, 3), 3)])
def kthvalue(x: Any, k: int, axis: int = -1, keepdims: bool = False) -> Extremum:
    """The k-th smallest element along an axis, and where it stands: `values` and `indices`.

    Args:
        x: tensor.
        k: from 1, the smallest, to the length of the axis.
        axis: int (`dim`).
        keepdims: keep the axis with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.kthvalue(ho.tensor([1.0, 5.0, 3.0]), 2).values
    tensor(3.)
    """
    x = tensor_of(x, "kthvalue")
    axis = axis_of(axis, x.ndim, "kthvalue")
    k = whole(k, "kthvalue", "k")
    if not 1 <= k <= (x.shape[axis] if x.ndim else 1):
        raise ShapeError(f"kthvalue(): selected number k out of range: k={k}, axis {axis} of shape {tuple(x.shape)}.")
    order = argsort(x, axis)
    found = _read(x, cut(order, axis, k - 1, k) if x.ndim else order, axis)
    return found if keepdims or not x.ndim else Extremum(*(ops.squeeze(part, axis) for part in found))


def _mode_kernel(x: Any, axis: int) -> Any:
    """Where the last of the most frequent elements stands: of those the end of the first longest run when sorted."""
    order = np.argsort(x, axis=axis, kind="stable")
    row = np.take_along_axis(x, order, axis)
    places = np.cumsum(np.ones_like(order), axis=axis) - 1
    first = np.ones_like(cut(row, axis, 0, 1), dtype=bool)
    starts = np.concatenate([first, cut(row, axis, 1, None) != cut(row, axis, 0, -1)], axis)
    lengths = places - np.maximum.accumulate(np.where(starts, places, 0), axis=axis)
    return np.take_along_axis(order, np.argmax(lengths, axis=axis, keepdims=True), axis)


_mode = general("mode", _mode_kernel, None, batch=shift("axis"))


@operation(
    None,
    lambda s: [
        case(s.normal(5)),
        case(s.normal(2, 4), dim=1),
        case(s.normal(3, 2), 0, keepdims=True),
    ],
)
def mode(x: Any, axis: int = -1, keepdims: bool = False) -> Extremum:
    """The most frequent element along an axis, the smallest of several, and where it stands last.

    Args:
        x: tensor.
        axis: int (`dim`).
        keepdims: keep the axis with length 1 (`keepdim`).

    Returns:
        `values` and `indices`; the derivative goes to that position.

    >>> import hograd as ho
    >>> ho.mode(ho.tensor([3.0, 1.0, 3.0])).values
    tensor(3.)
    """
    x = tensor_of(x, "mode")
    axis = axis_of(axis, x.ndim, "mode")
    if not x.ndim:
        return Extremum(ops.clone(x), Tensor(np.int64(0)))
    if not x.shape[axis]:
        raise ShapeError(f"mode over no elements: shape {tuple(x.shape)}, axis {axis}.")
    found = _read(x, wrap(apply(_mode, (x,), {"axis": axis})), axis)
    return found if keepdims else Extremum(*(ops.squeeze(part, axis) for part in found))


def _search_kernel(sequence: Any, values: Any, right: bool) -> Any:
    side = "right" if right else "left"
    if sequence.ndim == 1:
        return np.searchsorted(sequence, values, side)
    out = np.empty_like(values, dtype=np.int64)
    for row in np.ndindex(sequence.shape[:-1]):
        out[row] = np.searchsorted(sequence[row], values[row], side)
    return out


def _batch_search(primitive: Any, size: int, values: Any, batched: Any, params: dict[str, Any]) -> Any:
    sequence, sought = values
    if not batched[0] and sequence.ndim == 1:
        return apply(primitive, (sequence, sought), params)
    rows = [in_front(v, b, size) for v, b in zip((sequence, sought), batched, strict=True)]
    return apply(primitive, rows, params)


_search = general("searchsorted", _search_kernel, None, arguments="a b", batch=_batch_search)


@operation(
    None,
    lambda s: [
        case(s.array([-1.0, 0.25, 0.25, 2.0]), s.normal(3, 2)),
        case(s.array([-1.0, 0.25, 0.25, 2.0]), s.array([0.25, 5.0]), right=True),
        case(s.array([[-1.0, 0.5], [0.0, 1.0]]), s.normal(2, 3)),
        case(s.array([-1.0, 0.5]), s.normal()),
    ],
    differentiable=False,
)
def searchsorted(
    sorted_sequence: Any,
    values: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Tensor:
    """Where `values` would go into sorted rows: how many elements of the row are smaller (right: or equal).

    Args:
        sorted_sequence: shape (n,), or (..., n) with a row for each row of `values`; ascending along the last axis.
        values: any shape, or (..., m).
        out_int32: whether the answer is int32 instead of int64.
        right: whether equal elements count too.
        side: "left" or "right", another name of the same choice.
        sorter: the positions that sort rows which are not sorted, as `argsort` gives them.

    >>> import hograd as ho
    >>> ho.searchsorted(ho.tensor([1.0, 2.0, 3.0]), ho.tensor([0.0, 2.0, 9.0]))
    tensor([0, 1, 3])
    """
    sequence, values = tensor_of(sorted_sequence, "searchsorted"), tensor_of(values, "searchsorted")
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ArgumentError(f"searchsorted got side={side!r} and right={right}, expected one of 'left' and 'right'.")
    if not sequence.ndim or (sequence.ndim > 1 and sequence.shape[:-1] != values.shape[:-1]):
        raise ShapeError(
            f"searchsorted: sorted_sequence has shape {tuple(sequence.shape)}, values {tuple(values.shape)}; expected "
            "one row, or a row for each row of values."
        )
    if sorter is not None:
        sequence = ops.take_along_axis(sequence, sorter, -1)
    places = wrap(apply(_search, (sequence, values), {"right": bool(right or side == "right")}))
    return ops.astype(places, np.int32) if out_int32 else places


@operation(
    None,
    lambda s: [case(s.normal(3, 2), s.array([-0.5, 0.0, 0.5])), case(s.normal(3), s.array([0.0]), right=True)],
    differentiable=False,
)
def bucketize(x: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between `boundaries` that each element lies in, 0 before the first.

    Args:
        x: tensor.
        boundaries: shape (n,), ascending.
        out_int32: whether the answer is int32 instead of int64.
        right: False: intervals include their right end; True: their left end, as in PyTorch.

    >>> import hograd as ho
    >>> ho.bucketize(ho.tensor([0.5, 1.0, 9.0]), ho.tensor([1.0, 2.0]))
    tensor([0, 0, 2])
    """
    boundaries = tensor_of(boundaries, "bucketize")
    if boundaries.ndim != 1:
        raise ShapeError(f"bucketize: boundaries have shape {tuple(boundaries.shape)}, expected one axis.")
    return searchsorted(boundaries, x, out_int32=out_int32, right=right)


@operation(None, lambda s: [], differentiable=False)
def unique(
    x: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None
) -> Any:
    """The distinct elements, ascending, as constants; or the distinct slices along an axis.

    Args:
        x: tensor.
        sorted: taken for PyTorch's sake: the answer is always sorted.
        return_inverse: also give the position of each element among them, in the shape of `x`, or of each slice.
        return_counts: also give how often each one stands.
        axis: int (`dim`), or None for elements.

    Returns:
        The elements, or a tuple `values, inverse, counts` without what was not asked for. Its length depends on the
        data, so it cannot be mapped by `vmap`. Each nan is distinct.

    >>> import hograd as ho
    >>> ho.unique(ho.tensor([3, 1, 3]))
    tensor([1, 3])
    """
    array = concrete(tensor_of(x, "unique"), "unique()")
    axis = axis if axis is None else axis_of(axis, array.ndim, "unique")
    values, inverse, counts = np.unique(array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    answer = [Tensor(values)]
    if return_inverse:
        answer.append(Tensor(inverse.reshape(array.shape if axis is None else (-1,))[()]))
    if return_counts:
        answer.append(Tensor(counts))
    return tuple(answer) if len(answer) > 1 else answer[0]


@operation(None, lambda s: [case(np.array([[1, 2], [3, 1]]), np.array([1, 3, 5])), case(np.array([1.5, 2.5]), 2.5)],
           differentiable=False)  # fmt: skip
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is one of `test_elements`, as a bool tensor in the shape of `elements`.

    Args:
        elements, test_elements: tensors or numbers.
        assume_unique: taken for PyTorch's sake: the answer is the same.
        invert: whether it is none of them.

    >>> import hograd as ho
    >>> ho.isin(ho.tensor([1, 2, 3]), ho.tensor([3, 1]))
    tensor([ True, False,  True])
    """
    elements = tensor_of(elements, "isin")
    among = ops.reshape(beside(elements, tensor_of(test_elements, "isin")), (-1,))
    found = ops.any(ops.eq(ops.expand_dims(elements, -1), among), -1)
    return ops.logical_not(found) if invert else found


@operation(None, lambda s: [], differentiable=False)
def unique_consecutive(
    x: Any, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None
) -> Any:
    """The elements, or slices along an axis, but for those that equal the one before; as constants.

    Args:
        x: tensor.
        return_inverse: also give the position of each element among them, in the shape of `x`, or of each slice.
        return_counts: also give how many stood in a row.
        axis: int (`dim`), or None for elements.

    Returns:
        The elements, or a tuple `values, inverse, counts` without what was not asked for. Its length depends on the
        data, so it cannot be mapped by `vmap`.

    >>> import hograd as ho
    >>> ho.unique_consecutive(ho.tensor([1, 1, 2, 2, 1]))
    tensor([1, 2, 1])
    """
    array = concrete(tensor_of(x, "unique_consecutive"), "unique_consecutive()")
    shape = np.shape(array) if axis is None else None
    rows = array.reshape(-1) if axis is None else np.moveaxis(array, axis_of(axis, array.ndim, "unique_consecutive"), 0)
    flat = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    begins = np.ones(len(rows), bool)
    begins[1:] = (flat[1:] != flat[:-1]).any(1)
    values = rows[begins]
    answer = [Tensor(values if axis is None else np.moveaxis(values, 0, axis))]
    places = np.flatnonzero(begins)
    if return_inverse:
        inverse = np.cumsum(begins) - 1
        answer.append(Tensor(inverse.reshape(shape)[()] if shape is not None else inverse))
    if return_counts:
        answer.append(Tensor(np.diff(np.append(places, len(rows)))))
    return tuple(answer) if len(answer) > 1 else answer[0]
