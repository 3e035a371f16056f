"""Joining tensors along an axis, old or new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd.core.batching import in_front
from hograd.core.declare import case, linear, operation
from hograd.core.dispatch import apply, promote, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import axis_of, tensor_of
from hograd.ops.unit_axes import atleast_1d, atleast_2d, atleast_3d, expand_dims

__all__ = [
    "block_diag",
    "cat",
    "column_stack",
    "concat",
    "concatenate",
    "dstack",
    "hstack",
    "row_stack",
    "stack",
    "vstack",
]


def _concatenate_kernel(*parts: Any, axis: int, offsets: Any) -> Any:
    return np.concatenate(parts, axis=axis)


def _part(F: Any, g: Any, axis: int, offsets: tuple[int, ...], position: int) -> Any:
    return F.getitem(g, (slice(None),) * axis + (slice(offsets[position], offsets[position + 1]),))


def _batch_concatenate(primitive: Any, size: int, values: Any, batched: Any, params: dict[str, Any]) -> Any:
    parts = [in_front(v, b, size) for v, b in zip(values, batched, strict=True)]
    return apply(primitive, parts, {**params, "axis": params["axis"] + 1})


_concatenate = linear("concatenate", _concatenate_kernel, _part, batch=_batch_concatenate, arguments="*x")


def _sequence(x: Any, name: str) -> list[Any]:
    if not isinstance(x, (Sequence, Tensor, np.ndarray)):
        raise DtypeError(f"{name}(): x is {type(x).__name__}, expected a list or tuple of tensors.")
    parts = [tensor_of(part, name) for part in x]
    if not parts:
        raise ArgumentError(f"{name}(): expected a non-empty list of tensors.")
    return [wrap(part) for part in promote(name, *parts)]


def _not_empty(parts: Sequence[Any]) -> Sequence[Any]:
    return [part for part in parts if tuple(part.shape) != (0,)] or parts[:1]


@operation(
    lambda x, axis=0: np.concatenate(_not_empty(x), axis),
    lambda s: [
        case([s.normal(2, 3), s.normal(1, 3)]),
        case([s.normal(2, 3), s.normal(2, 1), s.normal(2, 0)], 1),
        case([s.normal(2), s.normal(3)], dim=-1),
        case([s.normal(0), s.normal(2, 3), s.normal(2, 1)], 1),
    ],
)
def concatenate(x: Any, axis: int = 0) -> Tensor:
    """Tensors joined along an axis that they have.

    Args:
        x: sequence of tensors with equal shapes but for that axis (`tensors`). One of shape (0,) is left out, whatever
            the shapes of the others are: so a list can be joined to what was empty at first.
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.concatenate([ho.tensor([1.0]), ho.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    parts = _not_empty(_sequence(x, "concatenate"))
    rank = parts[0].ndim
    if rank == 0:
        raise ShapeError("concatenate: zero-dimensional tensors cannot be joined; use stack.")
    axis = axis_of(axis, rank, "concatenate")
    offsets = [0]
    for i, part in enumerate(parts):
        lengths = [n for k, n in enumerate(part.shape) if k != axis]
        if part.ndim != rank or lengths != [n for k, n in enumerate(parts[0].shape) if k != axis]:
            raise ShapeError(
                f"concatenate: x[{i}] has shape {tuple(part.shape)}, expected that of x[0], {tuple(parts[0].shape)}, "
                f"except along axis {axis}."
            )
        offsets.append(offsets[-1] + part.shape[axis])
    return wrap(apply(_concatenate, parts, {"axis": axis, "offsets": tuple(offsets)}))


cat = concat = concatenate


@operation(
    lambda x, axis=0: np.stack(x, axis),
    lambda s: [
        case([s.normal(2, 3), s.normal(2, 3)]),
        case([s.normal(2), s.normal(2)], -1),
        case([s.normal(), s.normal()]),
    ],
)
def stack(x: Any, axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis.

    Args:
        x: sequence of tensors of equal shapes (`tensors`).
        axis: place of the new axis in the answer (`dim`).

    >>> import hograd as ho
    >>> ho.stack([ho.tensor(1.0), ho.tensor(2.0)])
    tensor([1., 2.])
    """
    parts = _sequence(x, "stack")
    for i, part in enumerate(parts):
        if part.shape != parts[0].shape:
            raise ShapeError(
                f"stack expects each tensor to be equal size, but got {tuple(parts[0].shape)} for x[0] and "
                f"{tuple(part.shape)} for x[{i}]."
            )
    axis = axis_of(axis, parts[0].ndim + 1, "stack")
    return concatenate([expand_dims(part, axis) for part in parts], axis)


def _joined(name: str, prepare: Any, axis: int, shapes: Any, doc: str) -> Any:
    def function(x: Any) -> Tensor:
        parts = [prepare(part) for part in _sequence(x, name)]
        return concatenate(parts, 0 if parts[0].ndim == 1 else axis)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return operation(None, lambda s: [case([s.normal(*shape) for shape in some]) for some in shapes])(function)


hstack = _joined(
    "hstack",
    atleast_1d,
    1,
    [[(2,), (3,)], [(2, 1), (2, 3)], [(), ()]],
    """Tensors joined along axis 1; vectors and numbers along axis 0.

    >>> import hograd as ho
    >>> ho.hstack([ho.tensor([1.0]), ho.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """,
)


vstack = _joined(
    "vstack",
    atleast_2d,
    0,
    [[(3,), (3,)], [(2, 3), (1, 3)], [(), ()]],
    """Tensors joined along axis 0, vectors as rows.

    >>> import hograd as ho
    >>> ho.vstack([ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0])])
    tensor([[1., 2.],
            [3., 4.]])
    """,
)


dstack = _joined(
    "dstack",
    atleast_3d,
    2,
    [[(3,), (3,)], [(2, 3), (2, 3)], [(2, 3, 1), (2, 3, 2)]],
    """Tensors joined along axis 2, which matrices and vectors get.

    >>> import hograd as ho
    >>> ho.dstack([ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0])])
    tensor([[[1., 3.],
             [2., 4.]]])
    """,
)


def _column(x: Tensor) -> Tensor:
    return x if x.ndim > 1 else ops.reshape(x, (-1, 1))


column_stack = _joined(
    "column_stack",
    _column,
    1,
    [[(3,), (3,)], [(2, 3), (2,)]],
    """Tensors joined along axis 1, vectors as columns.

    >>> import hograd as ho
    >>> ho.column_stack([ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0])])
    tensor([[1., 3.],
            [2., 4.]])
    """,
)


row_stack = vstack


@operation(None, lambda s: [case(s.normal(2, 3), s.normal(1, 2)), case(s.normal(2), s.normal(), s.normal(2, 1))])
def block_diag(*matrices: Any) -> Tensor:
    """Matrices along the diagonal, and zeros around them; a vector is one row, a number one element.

    >>> import hograd as ho
    >>> ho.block_diag(ho.tensor([[1.0], [2.0]]), ho.tensor([3.0, 4.0]))
    tensor([[1., 0., 0.],
            [2., 0., 0.],
            [0., 3., 4.]])
    """
    blocks = [wrap(x) for x in promote("block_diag", *[tensor_of(x, "block_diag") for x in matrices])]
    for i, x in enumerate(blocks):
        if x.ndim > 2:
            raise ShapeError(f"block_diag: argument {i} has shape {tuple(x.shape)}, expected at most two axes.")
    blocks = [x if x.ndim == 2 else ops.reshape(x, (1, -1)) for x in blocks]
    width, before, rows = sum(x.shape[1] for x in blocks), 0, []
    for x in blocks:
        rows.append(ops.pad(x, (before, width - before - x.shape[1])))
        before += x.shape[1]
    return ops.concatenate(rows) if rows else ops.zeros(1, 0)
