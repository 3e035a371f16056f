"""Tensors with a part replaced: at indices, in a slice, along a diagonal; names and arguments are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError, IndexingError, ShapeError
from hograd.ops.axes import axis_of, tensor_of
from hograd.ops.gather import indices_of

__all__ = ["diagonal_scatter", "index_put", "put", "select_scatter", "slice_scatter"]


@operation(
    None,
    lambda s: [
        case(s.normal(4, 3), (np.array([0, 2]),), s.normal(2, 3)),
        case(s.normal(4), (np.array([1, 1, 3]),), s.normal(3), True),
        case(s.normal(2, 3), (np.array([0, 1]), np.array([2, 0])), s.normal(2)),
    ],
)
def index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """`x` with values at indices: `x.at[indices].set(values)`, or of `add` if they accumulate.

    Args:
        x: tensor.
        indices: tuple of integer or bool tensors, one for each of the first axes.
        values: tensor or number, broadcast to what the indices name.
        accumulate: add values to what is there, once for each time that an element is named.

    >>> import hograd as ho
    >>> ho.index_put(ho.zeros(3), (ho.tensor([0, 2]),), ho.tensor([5.0, 6.0]))
    tensor([5., 0., 6.])
    """
    x = tensor_of(x, "index_put")
    if not isinstance(indices, (tuple, list)):
        raise IndexingError(f"index_put got indices {indices!r}, expected a tuple of tensors.")
    return (ops.at_add if accumulate else ops.at_set)(x, tuple(indices), values)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 3), np.array([4, 0]), s.normal(2)),
        case(s.normal(2, 3), np.array([[5], [5]]), s.normal(2, 1), accumulate=True),
    ],
)
def put(x: Any, index: Any, source: Any, accumulate: bool = False) -> Tensor:
    """`x` with elements of `source` at places in its flattened form.

    Args:
        x: tensor.
        index: integer tensor; negative ones count from the end.
        source: tensor of as many elements as `index`, in the dtype of `x`.
        accumulate: add to what is there, once for each time that an element is named; else, where a place repeats, the
            last element counts.

    >>> import hograd as ho
    >>> ho.put(ho.zeros(2, 2), ho.tensor([1, 2]), ho.tensor([5.0, 6.0]))
    tensor([[0., 5.],
            [6., 0.]])
    """
    x, index, source = tensor_of(x, "put"), indices_of(index, "put"), tensor_of(source, "put")
    if source.dtype != x.dtype:
        raise DtypeError(f"put: source has dtype {source.dtype}, expected that of x, {x.dtype}.")
    if source.numel() != index.numel():
        raise IndexingError(
            f"put: source has {source.numel()} elements and index {index.numel()}, expected the same number of both."
        )
    write = ops.at_add if accumulate else ops.at_set
    return ops.reshape(write(ops.reshape(x, (-1,)), ops.reshape(index, (-1,)), ops.reshape(source, (-1,))), x.shape)


def _written(x: Tensor, part: Any, src: Any, name: str) -> Tensor:
    src, shape = tensor_of(src, name), x[part].shape
    if src.shape != shape:
        raise ShapeError(
            f"{name}: src has shape {tuple(src.shape)}, expected that of the part that it replaces, {tuple(shape)}."
        )
    return ops.at_set(x, part, src)


@operation(
    None, lambda s: [case(s.normal(3, 4), s.normal(3), 1, 2), case(s.normal(2, 3), s.normal(3), axis=0, index=-1)]
)
def select_scatter(x: Any, src: Any, axis: int, index: int) -> Tensor:
    """`x` with `src` at one place along an axis.

    Args:
        x: tensor.
        src: the shape of `x` without that axis.
        axis: int (`dim`).
        index: the place.

    >>> import hograd as ho
    >>> ho.select_scatter(ho.zeros(2, 2), ho.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    x = tensor_of(x, "select_scatter")
    axis = axis_of(axis, x.ndim, "select_scatter")
    return _written(x, (*(slice(None),) * axis, index), src, "select_scatter")


@operation(
    None,
    lambda s: [
        case(s.normal(5, 2), s.normal(2, 2), 0, 1, 5, 2),
        case(s.normal(2, 4), s.normal(2, 2), axis=1, start=-2),
        case(s.normal(3), s.normal(3)),
    ],
)
def slice_scatter(
    x: Any, src: Any, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """`x` with `src` in a slice along an axis.

    Args:
        x: tensor.
        src: of the shape of the slice.
        axis: int (`dim`).
        start, end, step: of the slice, as in Python.

    >>> import hograd as ho
    >>> ho.slice_scatter(ho.zeros(4), ho.ones(2), 0, 1, 3)
    tensor([0., 1., 1., 0.])
    """
    x = tensor_of(x, "slice_scatter")
    axis = axis_of(axis, x.ndim, "slice_scatter")
    return _written(x, (*(slice(None),) * axis, slice(start, end, step)), src, "slice_scatter")


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.normal(3)),
        case(s.normal(3, 3), s.normal(2), -1),
        case(s.normal(2, 3, 2), s.normal(3, 2), 0, 0, 2),
    ],
)
def diagonal_scatter(x: Any, src: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """`x` with `src` along a diagonal, laid out as `diagonal` gives it.

    Args:
        x: tensor of at least two axes.
        src: of the shape of the diagonals.
        offset: how far above the main diagonal.
        axis1, axis2: the axes of the matrices (`dim1`, `dim2`).

    >>> import hograd as ho
    >>> ho.diagonal_scatter(ho.zeros(2, 2), ho.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    x = tensor_of(x, "diagonal_scatter")
    first, second = axis_of(axis1, x.ndim, "diagonal_scatter"), axis_of(axis2, x.ndim, "diagonal_scatter")
    src, shape = tensor_of(src, "diagonal_scatter"), ops.diagonal(x, offset, first, second).shape
    if src.shape != shape:
        raise ShapeError(
            f"diagonal_scatter: src has shape {tuple(src.shape)}, expected that of the diagonals, {tuple(shape)}."
        )
    rows = np.arange(shape[-1]) - min(offset, 0)
    columns = np.arange(shape[-1]) + max(offset, 0)
    moved = ops.moveaxis(x, (first, second), (-2, -1))
    written = ops.at_set(moved, (Ellipsis, rows, columns), ops.astype(src, x.dtype))
    return ops.moveaxis(written, (-2, -1), (first, second))
