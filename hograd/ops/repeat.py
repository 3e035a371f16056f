"""Repeating, rolling and turning, and tensors made to fit one another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.dispatch import promote
from hograd.core.primitive import ops, register
from hograd.core.tensor import Tensor, concrete
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import axis_of, common_shape, cut, shape_of, tensor_of

__all__ = [
    "broadcast_tensors",
    "cartesian_prod",
    "combinations",
    "fliplr",
    "flipud",
    "meshgrid",
    "repeat_interleave",
    "roll",
    "rot90",
    "tile",
]


@operation(
    None,
    lambda s: [
        case(s.normal(5), 2),
        case(s.normal(3, 4), -1, 0),
        case(s.normal(3, 4), (1, 6), (0, 1)),
        case(s.normal(2, 3), 2),
    ],
)
def roll(x: Any, shifts: Any, axis: Any = None) -> Tensor:
    """Elements moved on by `shifts` places along `axis`, those beyond the end to the front.

    Args:
        x: tensor.
        shifts: int, or one for each axis.
        axis: int or tuple of ints (`dims`); None rolls the flattened tensor.

    >>> import hograd as ho
    >>> ho.roll(ho.tensor([1, 2, 3, 4]), 1)
    tensor([4, 1, 2, 3])
    """
    x = tensor_of(x, "roll")
    steps = shape_of(shifts, "roll")
    if axis is None:
        if len(steps) != 1:
            raise ArgumentError(f"roll got {len(steps)} shifts and no axis, expected one shift.")
        return ops.reshape(roll(ops.reshape(x, (-1,)), steps[0], 0), x.shape)
    axes = [axis_of(a, x.ndim, "roll") for a in (axis if isinstance(axis, Sequence) else (axis,))]
    if len(axes) != len(steps):
        raise ArgumentError(f"shifts and dimensions must align: roll got {len(steps)} shifts and {len(axes)} axes.")
    for step, along in zip(steps, axes, strict=True):
        length = x.shape[along] if x.ndim else 0
        if length and step % length:
            start = length - step % length
            x = ops.concatenate([cut(x, along, start, None), cut(x, along, None, start)], along)
    return x


@operation(np.tile, lambda s: [case(s.normal(2, 3), (2, 2)), case(s.normal(3), 2), case(s.normal(2), (3, 1, 2))])
def tile(x: Any, reps: Any) -> Tensor:
    """The tensor laid side by side, `reps` times along each of the last axes.

    Args:
        x: tensor.
        reps: one number for each axis, from the last; more of them make new axes in front.

    >>> import hograd as ho
    >>> ho.tile(ho.tensor([1, 2]), (2, 2))
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    x = tensor_of(x, "tile")
    times = shape_of(reps, "tile")
    if min(times, default=0) < 0:
        raise ShapeError(f"tile got reps {times}, expected numbers of at least 0.")
    rank = max(x.ndim, len(times))
    times = (1,) * (rank - len(times)) + times
    lengths = (1,) * (rank - x.ndim) + tuple(x.shape)
    apart = ops.reshape(x, tuple(n for length in lengths for n in (1, length)))
    spread = ops.broadcast_to(apart, tuple(n for pair in zip(times, lengths, strict=True) for n in pair))
    return ops.reshape(spread, tuple(t * n for t, n in zip(times, lengths, strict=True)))


def _repeat(x: Tensor, sizes: Any) -> Tensor:
    """`Tensor.repeat`: `tile` with a number for every axis."""
    if len(shape_of(sizes, "repeat")) < x.ndim:
        raise ShapeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: found "
            f"{sizes} for {x.ndim} axes."
        )
    return tile(x, sizes)


register("repeat", _repeat, None)


@operation(
    None,
    lambda s: [
        case(s.normal(3), 2),
        case(s.normal(2, 3), 3, 1),
        case(s.normal(3, 2), [2, 0, 1], axis=0),
        case(s.normal(2, 2), 2, output_size=8),
    ],
)
def repeat_interleave(x: Any, repeats: Any, axis: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each element repeated in its place along an axis.

    Args:
        x: tensor.
        repeats: how often, at least 0: an int, or a list or tensor with one for each position along the axis, which
            cannot be mapped by `vmap`.
        axis: int (`dim`); None repeats the elements of the flattened tensor.
        output_size: the length that the axis gets, if it is to be checked.

    >>> import hograd as ho
    >>> ho.repeat_interleave(ho.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    x = tensor_of(x, "repeat_interleave")
    if axis is None or not x.ndim:
        x, axis = ops.reshape(x, (-1,)), 0
    axis = axis_of(axis, x.ndim, "repeat_interleave")
    counts = concrete(tensor_of(repeats, "repeat_interleave"), "repeat_interleave() with a mapped `repeats`")
    if counts.dtype.kind not in "iu" or np.any(counts < 0) or np.size(counts) not in (1, x.shape[axis]):
        raise ArgumentError(
            f"repeat_interleave got repeats {repeats}, expected a whole number of at least 0, or {x.shape[axis]} of "
            "them."
        )
    length = int(np.sum(np.broadcast_to(counts, (x.shape[axis],))))
    if output_size is not None and output_size != length:
        raise ArgumentError(f"repeat_interleave got output_size={output_size}, but the repeats make {length} elements.")
    if np.size(counts) > 1:
        return ops.getitem(x, (slice(None),) * axis + (np.repeat(np.arange(x.shape[axis]), counts),))
    times = int(np.reshape(counts, ()))
    before, after = tuple(x.shape[: axis + 1]), tuple(x.shape[axis + 1 :])
    spread = ops.broadcast_to(ops.reshape(x, (*before, 1, *after)), (*before, times, *after))
    return ops.reshape(spread, (*before[:-1], before[-1] * times, *after))


@operation(None, lambda s: [case(s.normal(2, 3)), case(s.normal(2, 3, 2), 2, (1, 2)), case(s.normal(2, 3), -1, [0, 1])])
def rot90(x: Any, k: int = 1, axes: Any = (0, 1)) -> Tensor:
    """The tensor turned by `k` right angles, from the first of two axes towards the second (`dims`).

    >>> import hograd as ho
    >>> ho.rot90(ho.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    x = tensor_of(x, "rot90")
    if len(axes) != 2:
        raise ArgumentError(f"expected total rotation dims == 2: rot90 got axes {axes}.")
    a, b = (axis_of(axis, x.ndim, "rot90") for axis in axes)
    if a == b:
        raise ShapeError(f"rot90 got axes {axes}, expected two different ones.")
    if k % 4 == 2:
        return ops.flip(x, (a, b))
    if k % 2:
        return ops.swapaxes(ops.flip(x, b), a, b) if k % 4 == 1 else ops.flip(ops.swapaxes(x, a, b), b)
    return ops.clone(x)


@operation(np.fliplr, lambda s: [case(s.normal(2, 3))])
def fliplr(x: Any) -> Tensor:
    """The tensor, of at least two axes, with its columns (axis 1) in reverse.

    >>> import hograd as ho
    >>> ho.fliplr(ho.tensor([[1, 2], [3, 4]]))
    tensor([[2, 1],
            [4, 3]])
    """
    x = tensor_of(x, "fliplr")
    if x.ndim < 2:
        raise ShapeError(f"Input must be >= 2-d: fliplr got x of shape {tuple(x.shape)}.")
    return ops.flip(x, 1)


@operation(np.flipud, lambda s: [case(s.normal(2, 3)), case(s.normal(3))])
def flipud(x: Any) -> Tensor:
    """The tensor, of at least one axis, with its rows (axis 0) in reverse.

    >>> import hograd as ho
    >>> ho.flipud(ho.tensor([1, 2, 3]))
    tensor([3, 2, 1])
    """
    x = tensor_of(x, "flipud")
    if not x.ndim:
        raise ShapeError("Input must be >= 1-d: flipud got x of shape ().")
    return ops.flip(x, 0)


def _several(tensors: tuple[Any, ...], name: str) -> list[Tensor]:
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    return [tensor_of(x, name) for x in given]


@operation(None, lambda s: [case(s.normal(3, 1), s.normal(4)), case(s.normal(), s.normal(2), s.normal(2, 1))])
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Tensors repeated to the shape that they have together.

    >>> import hograd as ho
    >>> [x.shape for x in ho.broadcast_tensors(ho.zeros(3, 1), ho.zeros(4))]
    [(3, 4), (3, 4)]
    """
    given = _several(tensors, "broadcast_tensors")
    shape = common_shape("broadcast_tensors", *given)
    return tuple(ops.broadcast_to(x, shape) for x in given)


@operation(None, lambda s: [case(s.normal(3), s.normal(2)), case(s.normal(3), s.normal(2), s.normal(2), indexing="xy")])
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid: each vector repeated along the axes of the others.

    Args:
        *tensors: vectors or numbers, or one list of them; the i-th varies along axis i of the answers.
        indexing: "ij", or "xy", which swaps the first two axes.

    >>> import hograd as ho
    >>> rows, columns = ho.meshgrid(ho.tensor([1, 2]), ho.tensor([3, 4, 5]))
    >>> rows
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    given = _several(tensors, "meshgrid")
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing!r}.')
    if any(x.ndim > 1 for x in given):
        raise ShapeError(f"meshgrid expects vectors, found shapes {[tuple(x.shape) for x in given]}.")
    rank = len(given)
    grids = broadcast_tensors(*[ops.reshape(x, (1,) * i + (-1,) + (1,) * (rank - 1 - i)) for i, x in enumerate(given)])
    return tuple(ops.swapaxes(x, 0, 1) for x in grids) if indexing == "xy" and rank > 1 else grids


@operation(None, lambda s: [case(s.normal(3), s.normal(2)), case(s.normal(2), s.normal(1), s.normal(2))])
def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations of one element of each vector, as rows; a single vector stays as it is.

    >>> import hograd as ho
    >>> ho.cartesian_prod(ho.tensor([1, 2]), ho.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    given = [x if isinstance(x, Tensor) else ops.tensor(x) for x in promote("cartesian_prod", *tensors)]
    if len(given) == 1:
        return given[0]
    return ops.stack([ops.reshape(x, (-1,)) for x in meshgrid(*given)], 1)


@operation(
    None,
    lambda s: [
        case(s.normal(4)),
        case(s.normal(3), 1),
        case(s.normal(3), 2, with_replacement=True),
        case(s.normal(2), 3),
    ],
)
def combinations(x: Any, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of `r` elements of a vector, in its order, as rows.

    Args:
        x: shape (n,).
        r: at least 0.
        with_replacement: whether an element may stand several times in a row.

    >>> import hograd as ho
    >>> ho.combinations(ho.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    x = tensor_of(x, "combinations")
    if x.ndim != 1:
        raise ShapeError(f"combinations expects a vector, found shape {tuple(x.shape)}.")
    if r < 0:
        raise ArgumentError(f"combinations expects a non-negative number, found r={r}.")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(x.shape[0]), r))
    return ops.getitem(x, np.array(rows, np.int64).reshape(len(rows), r))
