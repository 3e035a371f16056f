"""Joining tensors and cutting them apart."""

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
from hograd.ops.axes import axis_of, cut, shape_of, tensor_of
from hograd.ops.unit_axes import atleast_1d, atleast_2d, atleast_3d, expand_dims

__all__ = [
    "cat",
    "chunk",
    "column_stack",
    "concat",
    "concatenate",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "narrow",
    "row_stack",
    "select",
    "split",
    "stack",
    "tensor_split",
    "unbind",
    "vsplit",
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


@operation(
    lambda x, axis=0: np.concatenate(x, axis),
    lambda s: [
        case([s.normal(2, 3), s.normal(1, 3)]),
        case([s.normal(2, 3), s.normal(2, 1), s.normal(2, 0)], 1),
        case([s.normal(2), s.normal(3)], dim=-1),
    ],
)
def concatenate(x: Any, axis: int = 0) -> Tensor:
    """Tensors joined along an axis that they have.

    Args:
        x: sequence of tensors with equal shapes but for that axis (`tensors`).
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.concatenate([ho.tensor([1.0]), ho.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    parts = _sequence(x, "concatenate")
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


@operation(
    None,
    lambda s: [case(s.normal(5, 2), 2), case(s.normal(2, 5), [1, 4], axis=1), case(s.normal(4), 4)],
)
def split(x: Any, sizes: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along an axis.

    Args:
        x: tensor.
        sizes: length of every part but perhaps a shorter last one, or a list with the length of each, as in PyTorch.
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.split(ho.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    x = tensor_of(x, "split")
    axis = axis_of(axis, x.ndim, "split")
    length = x.shape[axis] if x.ndim else 0
    if isinstance(sizes, Sequence):
        lengths = list(shape_of(sizes, "split"))
        if sum(lengths) != length or min(lengths, default=0) < 0:
            raise ShapeError(f"split got sizes {lengths}, expected lengths that add up to {length} along axis {axis}.")
    else:
        if sizes < 1:
            raise ArgumentError(f"split got size {sizes}, expected at least 1.")
        lengths = [min(sizes, length - start) for start in range(0, length, sizes)] or [0]
    parts, start = [], 0
    for n in lengths:
        parts.append(cut(x, axis, start, start + n))
        start += n
    return tuple(parts)


@operation(
    None,
    lambda s: [case(s.normal(5, 2), 2), case(s.normal(2, 5), 3, axis=1), case(s.normal(3), 5)],
)
def chunk(x: Any, chunks: int, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along an axis into `chunks` parts of equal length but for a shorter last one.

    Args:
        x: tensor.
        chunks: how many, at least 1; there are fewer if their lengths use the axis up before, as in PyTorch.
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.chunk(ho.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    x = tensor_of(x, "chunk")
    axis = axis_of(axis, x.ndim, "chunk")
    if chunks < 1:
        raise ArgumentError(f"chunk expects `chunks` to be greater than 0, got {chunks}.")
    if not x.ndim:
        raise ShapeError("chunk expects at least a 1-dimensional tensor.")
    if not x.shape[axis]:
        return (x,) * chunks
    return split(x, -(-x.shape[axis] // chunks), axis)


@operation(
    None,
    lambda s: [
        case(s.normal(5, 2), 2),
        case(s.normal(2, 5), (1, 3), axis=1),
        case(s.normal(3), 5),
        case(s.normal(4), [3, 1, -1]),
    ],
)
def tensor_split(x: Any, sections: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along an axis into `sections` parts, the first ones longer by 1, or before given positions.

    Args:
        x: tensor.
        sections: how many parts, or the positions at which to cut, as in a slice.
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.tensor_split(ho.arange(5), 3)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> ho.tensor_split(ho.arange(5), (1, 3))
    (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    x = tensor_of(x, "tensor_split")
    axis = axis_of(axis, x.ndim, "tensor_split")
    if not x.ndim:
        raise ShapeError("tensor_split expects at least a 1-dimensional tensor.")
    length = x.shape[axis]
    if isinstance(sections, Tensor):
        sections = sections.tolist()
    if isinstance(sections, Sequence):
        ends: list[int] = list(shape_of(sections, "tensor_split"))
    elif sections < 1:
        raise ArgumentError(f"tensor_split got {sections} sections, expected at least 1.")
    else:
        short, longer = divmod(length, sections)
        ends = [short * (i + 1) + min(i + 1, longer) for i in range(sections - 1)]
    return tuple(cut(x, axis, start, end) for start, end in zip([0, *ends], [*ends, length], strict=True))


def _split_along(name: str, axis: int, least: int, shape: tuple[int, ...]) -> Any:
    def function(x: Any, sections: Any) -> tuple[Tensor, ...]:
        x = tensor_of(x, name)
        if x.ndim < least:
            raise ShapeError(f"{name} expects a tensor with at least {least} dimension, but x has {x.ndim}.")
        along = 0 if x.ndim == 1 else axis
        if not isinstance(sections, Sequence) and (sections < 1 or x.shape[along] % sections):
            raise ShapeError(f"{name} got {sections} sections, expected a divisor of {x.shape[along]}.")
        return tensor_split(x, sections, along)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The tensor cut into equal parts along axis {axis}{" (0 of a vector)" if least == 1 else ""}.

    Args:
        x: tensor of at least {least} axes.
        sections: number of parts, a divisor of the axis's length, or the positions at which to cut.

    >>> import hograd as ho
    >>> [part.shape for part in ho.{name}(ho.zeros{shape}, 2)]
    [{", ".join([str(tuple(n // 2 if i == axis else n for i, n in enumerate(shape)))] * 2)}]
    """
    return operation(None, lambda s: [case(s.normal(*shape), 2), case(s.normal(*shape), (1, 3))])(function)


hsplit = _split_along("hsplit", 1, 1, (2, 4))


vsplit = _split_along("vsplit", 0, 2, (4, 3))


dsplit = _split_along("dsplit", 2, 3, (2, 3, 4))


@operation(None, lambda s: [case(s.normal(3, 2)), case(s.normal(2, 3), axis=-1), case(s.normal(3))])
def unbind(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of the tensor along an axis, without that axis.

    >>> import hograd as ho
    >>> ho.unbind(ho.tensor([[1.0, 2.0], [3.0, 4.0]]))
    (tensor([1., 2.]), tensor([3., 4.]))
    """
    x = tensor_of(x, "unbind")
    axis = axis_of(axis, x.ndim, "unbind")
    if not x.ndim:
        raise ShapeError("unbind: dimension specified as 0 but the tensor has no dimensions.")
    return tuple(x[(slice(None),) * axis + (i,)] for i in range(x.shape[axis]))


@operation(None, lambda s: [case(s.normal(5), 0, 1, 3), case(s.normal(2, 4), -1, -2, 2), case(s.normal(3), 0, 3, 0)])
def narrow(x: Any, axis: int, start: int, length: int) -> Tensor:
    """`length` slices of the tensor along an axis, from `start` on.

    Args:
        x: tensor.
        axis: int (`dim`).
        start: the first position; negative ones count from the end.
        length: at least 0.

    >>> import hograd as ho
    >>> ho.narrow(ho.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    x = tensor_of(x, "narrow")
    if not x.ndim:
        raise ShapeError("narrow() cannot be applied to a 0-dim tensor.")
    axis = axis_of(axis, x.ndim, "narrow")
    extent = x.shape[axis]
    first = start + extent if start < 0 else start
    if length < 0 or not 0 <= first <= extent - length:
        raise ShapeError(f"narrow: start ({start}) + length ({length}) exceeds dimension size ({extent}).")
    return cut(x, axis, int(first), int(first + length))


@operation(None, lambda s: [case(s.normal(3, 2), 0, 1), case(s.normal(2, 3), -1, -1), case(s.normal(3), 0, 2)])
def select(x: Any, axis: int, index: int) -> Tensor:
    """The slice of the tensor at one position along an axis, without that axis.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: position; negative ones count from the end.

    >>> import hograd as ho
    >>> ho.select(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, 0)
    tensor([1., 3.])
    """
    x = tensor_of(x, "select")
    if not x.ndim:
        raise ShapeError("select() cannot be applied to a 0-dim tensor.")
    axis = axis_of(axis, x.ndim, "select")
    return x[(slice(None),) * axis + (index,)]


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
