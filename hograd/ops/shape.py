"""Shape operations: all linear, none of them changes a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core import fast
from hograd.core.batching import with_shape
from hograd.core.declare import case, linear, operation
from hograd.core.dispatch import apply
from hograd.core.primitive import register
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import axes_of, axis_of, shape_of, tensor_of

__all__ = [
    "broadcast_to",
    "expand",
    "flatten",
    "flip",
    "moveaxis",
    "permute",
    "ravel",
    "reshape",
    "swapaxes",
    "t",
    "transpose",
    "unflatten",
]


def _reshape_kernel(x: Any, shape: Any) -> Any:
    return scalarize(x.reshape(shape))


_reshape = linear(
    "reshape",
    _reshape_kernel,
    lambda F, g, x_shape: F.reshape(g, x_shape),
    batch=lambda primitive, size, values, batched, params: apply(
        primitive, values, {"shape": (size, *params["shape"])}
    ),
)


@operation(
    _reshape_kernel,
    lambda s: [
        case(s.normal(3, 4), (2, 6)),
        case(s.normal(3, 4), -1),
        case(s.normal(), (1, 1)),
        case(s.normal(1), ()),
    ],
)
def reshape(x: Any, shape: Any) -> Tensor:
    """The same elements, row by row, in another shape.

    Args:
        x: tensor.
        shape: lengths; one of them may be -1, which takes what is left.

    Raises:
        ShapeError: the shape does not hold as many elements.

    >>> import hograd as ho
    >>> ho.reshape(ho.arange(4), (2, -1))
    tensor([[0, 1],
            [2, 3]])
    """
    x = tensor_of(x, "reshape")
    lengths = shape_of(shape, "reshape")
    if lengths.count(-1) == 1:
        others = -math.prod(lengths)
        lengths = tuple(x.numel() // others if n == -1 and others else n for n in lengths)
    if math.prod(lengths) != x.numel() or min(lengths, default=0) < 0:
        raise ShapeError(f"shape '{list(shape_of(shape, 'reshape'))}' is invalid for input of size {x.numel()}.")
    return x if lengths == x.shape else fast.one(_reshape, x, {"shape": lengths})


def _permute_kernel(x: Any, axes: Any) -> Any:
    return x.transpose(axes)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    inverse = [0] * len(axes)
    for i, axis in enumerate(axes):
        inverse[axis] = i
    return tuple(inverse)


_permute = linear(
    "permute",
    _permute_kernel,
    lambda F, g, axes: F.permute(g, _inverse(axes)),
    batch=lambda primitive, size, values, batched, params: apply(
        primitive, values, {"axes": (0, *(axis + 1 for axis in params["axes"]))}
    ),
)


@operation(_permute_kernel, lambda s: [case(s.normal(2, 3, 4), (2, 0, 1)), case(s.normal(3, 4), (-1, 0))])
def permute(x: Any, axes: Any) -> Tensor:
    """The tensor with its axes in another order.

    Args:
        x: tensor.
        axes: for each axis of the answer the axis of `x` that it is (`dims`).

    >>> import hograd as ho
    >>> ho.permute(ho.zeros(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    x = tensor_of(x, "permute")
    axes = axes if isinstance(axes, Sequence) else (axes,)
    order = tuple(axis_of(axis, x.ndim, "permute") for axis in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"permute got axes {tuple(axes)}, expected each of the {x.ndim} axes of x once.")
    return x if order == tuple(range(x.ndim)) else fast.one(_permute, x, {"axes": order})


def _matrix_transpose(x: Any) -> Tensor:
    """The last two axes swapped: for rules, which know that there are two."""
    rank = len(x.shape)
    return fast.one(_permute, x, {"axes": (*range(rank - 2), rank - 1, rank - 2)})


register("mT", _matrix_transpose, lambda x: x.swapaxes(-1, -2))


@operation(
    lambda x, a, b: np.swapaxes(x, a, b),
    lambda s: [case(s.normal(2, 3, 4), 0, 2), case(s.normal(2, 3), -1, -2)],
)
def swapaxes(x: Any, axis0: int, axis1: int) -> Tensor:
    """The tensor with two axes swapped.

    >>> import hograd as ho
    >>> ho.swapaxes(ho.zeros(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    x = tensor_of(x, "swapaxes")
    order = list(range(x.ndim))
    a, b = axis_of(axis0, x.ndim, "swapaxes"), axis_of(axis1, x.ndim, "swapaxes")
    if x.ndim:
        order[a], order[b] = b, a
    return permute(x, order)


@operation(
    None,
    lambda s: [case(s.normal(2, 3)), case(s.normal(2, 3, 4), 0, 2), case(s.normal(2, 3), (1, 0))],
)
def transpose(x: Any, *axes: Any) -> Tensor:
    """The tensor with two axes swapped (two ints), in another order (one tuple), or with all reversed (nothing).

    >>> import hograd as ho
    >>> ho.transpose(ho.zeros(2, 3, 4), 0, 1).shape
    (3, 2, 4)
    >>> ho.transpose(ho.zeros(2, 3, 4)).shape
    (4, 3, 2)
    """
    x = tensor_of(x, "transpose")
    if not axes:
        return permute(x, range(x.ndim)[::-1])
    if len(axes) == 1 and isinstance(axes[0], Sequence):
        return permute(x, axes[0])
    if len(axes) != 2:
        raise ArgumentError(f"transpose got {len(axes)} axes, expected two to swap, or one tuple with all of them.")
    return swapaxes(x, *axes)


@operation(None, lambda s: [case(s.normal(2, 3)), case(s.normal(3))])
def t(x: Any) -> Tensor:
    """A matrix transposed; a vector or number as it is.

    >>> import hograd as ho
    >>> ho.t(ho.zeros(2, 3)).shape
    (3, 2)
    """
    x = tensor_of(x, "t")
    if x.ndim > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but x is {x.ndim}D: use mT or permute.")
    return permute(x, range(x.ndim)[::-1])


@operation(np.moveaxis, lambda s: [case(s.normal(2, 3, 4), 0, -1), case(s.normal(2, 3, 4), (0, 1), (1, 2))])
def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """The tensor with the axes `source` moved to the places `destination`, the others in order.

    >>> import hograd as ho
    >>> ho.moveaxis(ho.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    x = tensor_of(x, "moveaxis")
    sources, places = (list(a) if isinstance(a, Sequence) else [a] for a in (source, destination))
    if len(sources) != len(places):
        raise ArgumentError(f"moveaxis got {len(sources)} sources and {len(places)} destinations, expected as many.")
    sources = [axis_of(a, x.ndim, "moveaxis") for a in sources]
    places = [axis_of(p, x.ndim, "moveaxis") for p in places]
    if len(set(sources)) != len(sources) or len(set(places)) != len(places):
        raise ShapeError(f"moveaxis got {source} to {destination}, in which an axis appears multiple times.")
    order = [i for i in range(x.ndim) if i not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return permute(x, order)


def _broadcast_kernel(x: Any, shape: Any) -> Any:
    if shape and math.prod(shape) <= 4096 and isinstance(x, (np.ndarray, np.generic)):
        # Where it is small, a copy takes a third of the time of a view.
        out = np.empty(shape, x.dtype)
        out[...] = x
        return out
    return scalarize(np.broadcast_to(x, shape))


def _batch_broadcast(primitive: Any, size: int, values: Any, batched: Any, params: dict[str, Any]) -> Any:
    (x,), shape = values, params["shape"]
    aligned = with_shape(x, (size, *(1,) * (len(shape) + 1 - x.ndim), *x.shape[1:]))
    return apply(primitive, (aligned,), {"shape": (size, *shape)})


# The engine sums the cotangent over the axes along which the value was repeated.
_broadcast = linear("broadcast_to", _broadcast_kernel, lambda F, g: g, batch=_batch_broadcast)


@operation(
    _broadcast_kernel,
    lambda s: [case(s.normal(3, 1), (2, 3, 4)), case(s.normal(), (2, 2)), case(s.normal(2), (2,))],
)
def broadcast_to(x: Any, shape: Any) -> Tensor:
    """The tensor repeated along axes of length 1, and along new axes in front, to `shape`.

    >>> import hograd as ho
    >>> ho.broadcast_to(ho.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    x = tensor_of(x, "broadcast_to")
    lengths = shape_of(shape, "broadcast_to")
    extra = len(lengths) - x.ndim
    fits = extra >= 0 and all(n in (1, m) for n, m in zip(x.shape, lengths[extra:], strict=True))
    if not fits or min(lengths, default=0) < 0:
        raise ShapeError(f"broadcast_to: x has shape {tuple(x.shape)}, which cannot be repeated to shape {lengths}.")
    return x if lengths == x.shape else fast.one(_broadcast, x, {"shape": lengths})


@operation(None, lambda s: [case(s.normal(3, 1), (-1, 4)), case(s.normal(2), (3, -1))])
def expand(x: Any, shape: Any) -> Tensor:
    """`broadcast_to` in which -1 keeps the length of an axis.

    >>> import hograd as ho
    >>> ho.expand(ho.zeros(3, 1), (-1, 4)).shape
    (3, 4)
    """
    x = tensor_of(x, "expand")
    lengths = shape_of(shape, "expand")
    extra = len(lengths) - x.ndim
    kept = [x.shape[i - extra] if n == -1 and i >= extra >= 0 else n for i, n in enumerate(lengths)]
    return broadcast_to(x, tuple(kept))


@operation(None, lambda s: [case(s.normal(2, 3, 4)), case(s.normal(2, 3, 4), 1)])
def flatten(x: Any, start_axis: int = 0, end_axis: int = -1) -> Tensor:
    """The axes from `start_axis` to `end_axis`, both included, made one.

    >>> import hograd as ho
    >>> ho.flatten(ho.zeros(2, 3, 4), 1).shape
    (2, 12)
    """
    x = tensor_of(x, "flatten")
    start, end = axis_of(start_axis, x.ndim, "flatten"), axis_of(end_axis, x.ndim, "flatten")
    if end < start:
        raise ArgumentError(f"flatten got end_axis {end_axis} before start_axis {start_axis}.")
    middle = math.prod(x.shape[start : end + 1])
    return reshape(x, (*x.shape[:start], middle, *x.shape[end + 1 :]))


@operation(np.flip, lambda s: [case(s.normal(3, 4), 0), case(s.normal(3, 4), (0, 1)), case(s.normal(3, 4))])
def flip(x: Any, axis: Any = None) -> Tensor:
    """The tensor with the order of elements reversed along `axis` (`dims`), by default along every axis.

    >>> import hograd as ho
    >>> ho.flip(ho.arange(3), 0)
    tensor([2, 1, 0])
    """
    x = tensor_of(x, "flip")
    axes = () if isinstance(axis, Sequence) and not axis else axes_of(axis, x.ndim, "flip")
    return x[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(x.ndim))] if axes else x


@operation(np.ravel, lambda s: [case(s.normal(2, 3)), case(s.normal())])
def ravel(x: Any) -> Tensor:
    """All elements, row by row, along one axis.

    >>> import hograd as ho
    >>> ho.ravel(ho.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 2., 3., 4.])
    """
    return reshape(x, (-1,))


@operation(None, lambda s: [case(s.normal(2, 6), 1, (2, -1)), case(s.normal(4, 3), 0, [2, 2])])
def unflatten(x: Any, axis: int, sizes: Any) -> Tensor:
    """One axis made into several, the inverse of `flatten`.

    Args:
        x: tensor.
        axis: int (`dim`).
        sizes: lengths of the new axes; one of them may be -1, which takes what is left.

    Raises:
        ShapeError: the lengths do not multiply to that of the axis.

    >>> import hograd as ho
    >>> ho.unflatten(ho.zeros(2, 6), 1, (2, -1)).shape
    (2, 2, 3)
    """
    x = tensor_of(x, "unflatten")
    axis = axis_of(axis, x.ndim, "unflatten")
    lengths, length = shape_of(sizes, "unflatten"), x.shape[axis] if x.ndim else 1
    known = -math.prod(lengths)
    if lengths.count(-1) == 1 and known:
        lengths = tuple(length // known if n == -1 else n for n in lengths)
    if math.prod(lengths) != length or min(lengths, default=0) < 0:
        raise ShapeError(f"unflatten: sizes {list(lengths)} do not multiply to {length}, the length of axis {axis}.")
    return reshape(x, (*x.shape[:axis], *lengths, *x.shape[axis + 1 :]))
