"""Triangles and diagonals of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, linear, operation
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ShapeError
from hograd.ops.axes import axis_of, dtype_of, tensor_of

__all__ = ["diag", "diag_embed", "diagflat", "diagonal", "trace", "tril", "tril_indices", "triu", "triu_indices"]


def _triangles(s: Any) -> list[Any]:
    return [case(s.normal(3, 4)), case(s.normal(4, 3), 1), case(s.normal(2, 3, 3), -1)]


def _matrices(primitive: Any, x: Any, diagonal: int) -> Tensor:
    x = tensor_of(x, primitive.name)
    if x.ndim < 2:
        raise ShapeError(f"{primitive.name}: input tensor must have at least 2 dimensions, found {tuple(x.shape)}.")
    return wrap(apply(primitive, (x,), {"k": int(diagonal)}))


def _same(primitive: Any, size: int, values: Any, batched: Any, params: dict[str, Any]) -> Any:
    return apply(primitive, values, params)


_tril = linear("tril", np.tril, lambda F, g, k: F.tril(g, k), batch=_same)


_triu = linear("triu", np.triu, lambda F, g, k: F.triu(g, k), batch=_same)


@operation(np.tril, _triangles)
def tril(x: Any, diagonal: int = 0) -> Tensor:
    """The lower triangle of each matrix: 0 above a diagonal.

    Args:
        x: shape (..., n, m).
        diagonal: 0 for the main one, which is kept, positive ones above it, negative ones below.

    >>> import hograd as ho
    >>> ho.tril(ho.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return _matrices(_tril, x, diagonal)


@operation(np.triu, _triangles)
def triu(x: Any, diagonal: int = 0) -> Tensor:
    """The upper triangle of each matrix: 0 below a diagonal.

    Args:
        x: shape (..., n, m).
        diagonal: 0 for the main one, which is kept, positive ones above it, negative ones below.

    >>> import hograd as ho
    >>> ho.triu(ho.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return _matrices(_triu, x, diagonal)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """Positions of the lower triangle of a `row` x `col` matrix, row by row, as int64 of shape (2, count).

    >>> import hograd as ho
    >>> ho.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return Tensor(np.stack(np.tril_indices(row, offset, col)).astype(dtype_of(dtype)))


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """Positions of the upper triangle of a `row` x `col` matrix, row by row, as int64 of shape (2, count).

    >>> import hograd as ho
    >>> ho.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return Tensor(np.stack(np.triu_indices(row, offset, col)).astype(dtype_of(dtype)))


def _steps(rows: int, columns: int, offset: int) -> slice:
    """Where a diagonal of a `rows` x `columns` matrix stands among its elements, row by row."""
    start = offset if offset >= 0 else -offset * columns
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    return slice(start, start + (count - 1) * (columns + 1) + 1, columns + 1) if count else slice(0, 0)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4)),
        case(s.normal(3, 4), 1),
        case(s.normal(4, 3), -2),
        case(s.normal(2, 3, 4), 0, 2, 0),
        case(s.normal(2, 2), 5),
    ],
)
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonals over two axes, as a new last axis.

    Args:
        x: tensor of at least two axes.
        offset: 0 for the main diagonal, positive for those above it, negative for those below.
        axis1, axis2: rows and columns (`dim1`, `dim2`).

    >>> import hograd as ho
    >>> ho.diagonal(ho.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    x = tensor_of(x, "diagonal")
    if x.ndim < 2:
        raise ShapeError(f"diagonal expects at least two axes, found shape {tuple(x.shape)}.")
    a, b = axis_of(axis1, x.ndim, "diagonal"), axis_of(axis2, x.ndim, "diagonal")
    if a == b:
        raise ShapeError(f"diagonal dimensions cannot be identical: found {axis1}, {axis2}.")
    x = ops.moveaxis(x, (a, b), (-2, -1))
    rows, columns = x.shape[-2:]
    lead = x.shape[:-2]
    return ops.getitem(ops.reshape(x, (*lead, rows * columns)), (..., _steps(rows, columns, offset)))


@operation(
    None,
    lambda s: [
        case(s.normal(3)),
        case(s.normal(2, 3), 1),
        case(s.normal(2, 3), -1, 0, 2),
    ],
)
def diag_embed(x: Any, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """Matrices with the last axis of `x` on a diagonal, and 0 elsewhere.

    Args:
        x: shape (..., n).
        offset: 0 for the main diagonal, positive for those above it, negative for those below.
        axis1, axis2: where rows and columns go in the answer (`dim1`, `dim2`).

    >>> import hograd as ho
    >>> ho.diag_embed(ho.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = tensor_of(x, "diag_embed")
    if not x.ndim:
        raise ShapeError("diag_embed expects at least one axis, found shape ().")
    a, b = axis_of(axis1, x.ndim + 1, "diag_embed"), axis_of(axis2, x.ndim + 1, "diag_embed")
    if a == b:
        raise ShapeError(f"diagonal dimensions cannot be identical: found {axis1}, {axis2}.")
    side = x.shape[-1] + abs(offset)
    lead = x.shape[:-1]
    index = (slice(None),) * len(lead) + (_steps(side, side, offset),)
    y = ops.reshape(ops.place(x, index, (*lead, side * side)), (*lead, side, side))
    return ops.moveaxis(y, (-2, -1), (a, b))


@operation(np.diag, lambda s: [case(s.normal(3)), case(s.normal(3), -1), case(s.normal(3, 4), 1)])
def diag(x: Any, diagonal: int = 0) -> Tensor:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix as a vector.

    Args:
        x: shape (n,) or (n, m).
        diagonal: 0 for the main one, positive ones above it, negative ones below.

    >>> import hograd as ho
    >>> ho.diag(ho.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = tensor_of(x, "diag")
    if x.ndim not in (1, 2):
        raise ShapeError(f"diag(): supports 1D or 2D tensors, found shape {tuple(x.shape)}.")
    return diag_embed(x, diagonal) if x.ndim == 1 else ops.diagonal(x, diagonal)


@operation(None, lambda s: [case(s.normal(2, 2)), case(s.normal(3), 1)])
def diagflat(x: Any, offset: int = 0) -> Tensor:
    """The matrix with all elements of `x` on a diagonal.

    >>> import hograd as ho
    >>> ho.diagflat(ho.tensor([[1.0], [2.0]]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    return diag_embed(ops.reshape(x, (-1,)), offset)


@operation(np.trace, lambda s: [case(s.normal(3, 3)), case(s.normal(2, 4))])
def trace(x: Any) -> Tensor:
    """Sum of the main diagonal of a matrix.

    >>> import hograd as ho
    >>> ho.trace(ho.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    x = tensor_of(x, "trace")
    if x.ndim != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with shape {tuple(x.shape)}.")
    return ops.sum(ops.diagonal(x))
