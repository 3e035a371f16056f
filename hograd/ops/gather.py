"""Reading and writing along one axis at given positions, with PyTorch's names and arguments.

Positions are integer tensors; negative ones count from the end, also where PyTorch refuses them. A tensor without axes
is taken for one element along one axis. Writing returns a new tensor, as everything does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.dispatch import wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor, concrete
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import axis_of, beside, tensor_of, whole
from hograd.ops.checked import within

__all__ = [
    "bincount",
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_select",
    "one_hot",
    "scatter",
    "scatter_add",
    "take",
    "unfold",
]


def indices_of(index: Any, name: str) -> Tensor:
    index = tensor_of(index, name)
    if index.dtype.kind not in "iu":
        raise DtypeError(f"{name}(): expected an integer tensor for index, found dtype {index.dtype}.")
    return index


def places_along(x: Tensor, axis: int, index: Tensor, name: str) -> tuple[Any, ...]:
    """The index of `x` that holds `index` along `axis` and each element's own position along the others."""
    if index.ndim != x.ndim:
        raise ShapeError(
            f"Index tensor must have the same number of dimensions as x: {name} got shape "
            f"{tuple(index.shape)} for x of shape {tuple(x.shape)}."
        )
    for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)):
        if i != axis and n > m:
            raise ShapeError(
                f"Size does not match at dimension {i}: {name} expected index {list(index.shape)} to be "
                f"no larger than x {list(x.shape)} apart from dimension {axis}."
            )
    return tuple(
        index if i == axis else np.arange(n).reshape((n,) + (1,) * (x.ndim - 1 - i)) for i, n in enumerate(index.shape)
    )


def along_one(x: Tensor) -> Tensor:
    """A tensor without axes as one element along one axis, as PyTorch takes it here; any other as it is."""
    return x if x.ndim else ops.reshape(x, (1,))


def shaped(x: Tensor, like: Tensor) -> Tensor:
    return x if like.ndim else ops.reshape(x, ())


def _reads(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4), 1, np.array([[0, 3, 3], [1, 2, 0]])),
        case(s.normal(3, 4), 0, np.array([[0, 2, 2]])),
        case(s.normal(4), 0, np.array([3, 3, 0, 1, 2])),
    ]


@operation(None, _reads)
def gather(x: Any, axis: int, index: Any) -> Tensor:
    """Elements of `x` along an axis,  y[i, j] = x[i, index[i, j]]  for axis 1 of two.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: integer tensor with as many axes as `x`, along the others no longer than it; without elements it may
            have any shape, and a tensor without axes stands for one element along one axis.

    Returns:
        The shape of `index`. An element read twice collects both cotangents.

    >>> import hograd as ho
    >>> ho.gather(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, ho.tensor([[0, 0], [1, 0]]))
    tensor([[1., 1.],
            [4., 3.]])
    """
    x, index = tensor_of(x, "gather"), indices_of(index, "gather")
    axis = axis_of(axis, x.ndim, "gather")
    if not index.numel():
        return ops.reshape(ops.getitem(ops.reshape(x, (-1,)), slice(0)), index.shape)
    x, places = along_one(x), along_one(index)
    return shaped(ops.getitem(x, places_along(x, axis, places, "gather")), index)


def source_of(source: Any, x: Tensor, index: Tensor, name: str) -> Any:
    """The part of the source that `index` covers, in the dtype of x; a number stays."""
    source = tensor_of(source, name)
    if not source.ndim:
        return ops.astype(source, x.dtype)
    if source.ndim != index.ndim or any(n > m for n, m in zip(index.shape, source.shape, strict=True)):
        raise ShapeError(f"{name}: expected index {list(index.shape)} to be no larger than src {list(source.shape)}.")
    return ops.astype(ops.getitem(source, tuple(slice(n) for n in index.shape)), x.dtype)


def written_along(write: Any, x: Any, axis: int, index: Any, src: Any, name: str) -> Tensor:
    """`x` with elements of `src` set or added at positions along an axis; without positions as it is."""
    x, index = tensor_of(x, name), indices_of(index, name)
    axis = axis_of(axis, x.ndim, name)
    if not index.numel():
        return ops.clone(x)
    row, index = along_one(x), along_one(index)
    source = source_of(src, x, index, name)
    return shaped(write(row, places_along(row, axis, index, name), source), x)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), 1, np.array([[0, 3], [1, 2]]), s.normal(2, 3)),
        case(s.normal(3, 4), 0, np.array([[0, 2, 1]]), 1.5),
        case(s.normal(4), 0, np.array([3, 0]), s.normal(2)),
        case(s.normal(4), 0, np.array([3, 0]), s.normal(2), reduce="add"),
        case(s.normal(4), 0, np.array([3, 3]), 1.5, reduce="multiply"),
    ],
)
def scatter(x: Any, axis: int, index: Any, src: Any, *, reduce: str | None = None) -> Tensor:
    """`x` with elements of `src` written along an axis,  y[i, index[i, j]] = src[i, j]  for axis 1 of two.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: integer tensor with as many axes as `x`, along the others no longer than it.
        src: tensor no smaller than `index`, or a number (`value`).
        reduce: "add" or "multiply", to add to what is there, or multiply it.

    Where a position repeats one value counts, the last; its derivative is right, where PyTorch's is wrong.

    >>> import hograd as ho
    >>> ho.scatter(ho.zeros(2, 2), 1, ho.tensor([[1], [0]]), ho.tensor([[5.0], [6.0]]))
    tensor([[0., 5.],
            [6., 0.]])
    """
    if reduce not in (None, "add", "multiply"):
        raise ArgumentError(f"scatter: reduce argument must be either add or multiply, got {reduce!r}.")
    if reduce == "multiply":
        return ops.scatter_reduce(x, axis, index, src, "prod")
    return written_along(ops.at_add if reduce else ops.at_set, x, axis, index, src, "scatter")


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), 1, np.array([[0, 3, 0], [1, 2, 2]]), s.normal(2, 3)),
        case(s.normal(3, 4), 0, np.array([[0, 2, 1], [0, 1, 1]]), s.normal(3, 4)),
    ],
)
def scatter_add(x: Any, axis: int, index: Any, src: Any) -> Tensor:
    """`x` with elements of `src` added along an axis,  y[i, index[i, j]] += src[i, j]  for axis 1 of two.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: integer tensor with as many axes as `x`, along the others no longer than it; positions may repeat.
        src: tensor no smaller than `index`.

    >>> import hograd as ho
    >>> ho.scatter_add(ho.zeros(1, 2), 1, ho.tensor([[1, 1]]), ho.tensor([[5.0, 6.0]]))
    tensor([[ 0., 11.]])
    """
    return written_along(ops.at_add, x, axis, index, src, "scatter_add")


def rows_along(x: Any, axis: int, index: Any, name: str) -> tuple[Tensor, Tensor, tuple[Any, ...]]:
    """`x`, `x` with at least one axis, and the index that holds `index`, of shape (k,) or (), along `axis`."""
    x, index = tensor_of(x, name), indices_of(index, name)
    axis = axis_of(axis, x.ndim, name)
    if index.ndim > 1:
        raise ShapeError(f"{name}(): index is supposed to be a vector, found shape {tuple(index.shape)}.")
    return x, along_one(x), (*(slice(None),) * axis, along_one(index))


def slices_along(source: Any, row: Tensor, places: tuple[Any, ...], name: str) -> Tensor:
    """What is written at those places, of the shape of `row` with one slice for each number of the index."""
    source = along_one(tensor_of(source, name))
    axis = len(places) - 1
    expected = (*row.shape[:axis], *places[-1].shape, *row.shape[axis + 1 :])
    if tuple(source.shape) != expected:
        raise ShapeError(f"{name}(): source has shape {tuple(source.shape)}, expected {expected}.")
    return source


@operation(None, lambda s: [case(s.normal(3, 4), 1, np.array([3, 0, 0])), case(s.normal(4), 0, np.array([1, 2]))])
def index_select(x: Any, axis: int, index: Any) -> Tensor:
    """Slices of `x` along an axis at the positions `index`.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: integers, shape (k,).

    >>> import hograd as ho
    >>> ho.index_select(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, ho.tensor([1, 1]))
    tensor([[2., 2.],
            [4., 4.]])
    """
    x, row, places = rows_along(x, axis, index, "index_select")
    if not x.ndim and places[0].numel() != 1:
        raise ShapeError(
            f"index_select(): Index to scalar can have only 1 value, got {places[0].numel()}: x has no axes."
        )
    return shaped(ops.getitem(row, places), x)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), 1, np.array([3, 0, 0]), s.normal(3, 3)),
        case(s.normal(4), 0, np.array([1, 2]), s.normal(2), alpha=2.5),
    ],
)
def index_add(x: Any, axis: int, index: Any, source: Any, *, alpha: Any = 1) -> Tensor:
    """`x` with `alpha` times the slices of `source` added along an axis at the positions `index`, which may repeat.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: integers, shape (k,).
        source: tensor of the shape of `x`, but k along the axis.
        alpha: number.

    >>> import hograd as ho
    >>> ho.index_add(ho.zeros(3), 0, ho.tensor([0, 0, 2]), ho.tensor([1.0, 2.0, 3.0]))
    tensor([3., 0., 3.])
    """
    x, row, places = rows_along(x, axis, index, "index_add")
    source = slices_along(source, row, places, "index_add")
    source = source if isinstance(alpha, int) and alpha == 1 else ops.mul(source, alpha)
    return shaped(ops.at_add(row, places, source), x)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), 1, np.array([3, 0]), s.normal(3, 2)),
        case(s.normal(4), 0, np.array([1, 2]), s.normal(2)),
    ],
)
def index_copy(x: Any, axis: int, index: Any, source: Any) -> Tensor:
    """`x` with the slices of `source` written along an axis at the positions `index`.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: integers, shape (k,); where one repeats the last slice counts.
        source: tensor of the shape of `x`, but k along the axis.

    >>> import hograd as ho
    >>> ho.index_copy(ho.zeros(3), 0, ho.tensor([2, 0]), ho.tensor([1.0, 2.0]))
    tensor([2., 0., 1.])
    """
    x, row, places = rows_along(x, axis, index, "index_copy")
    return shaped(ops.at_set(row, places, slices_along(source, row, places, "index_copy")), x)


@operation(
    None,
    lambda s: [case(s.normal(3, 4), 1, np.array([3, 0]), 1.5), case(s.normal(4), 0, np.array([1, 2]), s.normal())],
)
def index_fill(x: Any, axis: int, index: Any, value: Any) -> Tensor:
    """`x` with `value` written along an axis at the positions `index`.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: integers, shape (k,).
        value: number, or tensor of shape ().

    >>> import hograd as ho
    >>> ho.index_fill(ho.zeros(3), 0, ho.tensor([2, 0]), 7.0)
    tensor([7., 0., 7.])
    """
    x, row, places = rows_along(x, axis, index, "index_fill")
    if getattr(value, "shape", ()):
        raise ShapeError(f"index_fill: value has shape {tuple(value.shape)}, expected a number.")
    return shaped(ops.at_set(row, places, value), x)


@operation(None, lambda s: [case(s.normal(3, 4), np.array([[0, 11], [5, 5]])), case(s.normal(3), np.array([2]))])
def take(x: Any, index: Any) -> Tensor:
    """Elements of the flattened `x` at the positions `index`, in the shape of `index`.

    >>> import hograd as ho
    >>> ho.take(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), ho.tensor([0, 3]))
    tensor([1., 4.])
    """
    return ops.getitem(ops.reshape(x, (-1,)), indices_of(index, "take"))


@operation(None, lambda s: [case(s.normal(7), 0, 3, 2), case(s.normal(2, 4, 2), 1, 2, 1), case(s.normal(3), -1, 3, 5)])
def unfold(x: Any, axis: int, size: int, step: int) -> Tensor:
    """Windows along an axis, as a new last axis.

    Args:
        x: tensor.
        axis: int (`dimension` in PyTorch).
        size: length of a window, at most that of the axis.
        step: from the start of one window to the next, at least 1.

    >>> import hograd as ho
    >>> ho.unfold(ho.tensor([1.0, 2.0, 3.0, 4.0]), 0, 2, 1)
    tensor([[1., 2.],
            [2., 3.],
            [3., 4.]])
    """
    x = tensor_of(x, "unfold")
    axis = axis_of(axis, x.ndim, "unfold")
    length = x.shape[axis] if x.ndim else 1
    size, step = whole(size, "unfold", "size"), whole(step, "unfold", "step")
    if not 0 <= size <= length or step < 1:
        raise ArgumentError(
            f"unfold got size {size} and step {step} along an axis of length {length}, expected a size from 0 to "
            f"{length} and a step of at least 1."
        )
    starts = np.arange(0, length - size + 1, step)
    row = x if x.ndim else ops.reshape(x, (1,))
    windows = ops.getitem(row, (slice(None),) * axis + (starts[:, None] + np.arange(size),))
    return ops.moveaxis(windows, axis + 1, -1) if x.ndim else ops.getitem(windows, 0)


@operation(None, lambda s: [case(np.array([[0, 2], [1, 1]]), 3)], differentiable=False)
def one_hot(x: Any, num_classes: int = -1) -> Tensor:
    """A row for each class number: 1 at that position, and 0 elsewhere, as int64.

    Args:
        x: integers from 0.
        num_classes: length of a row, above the largest number; -1 for that number and 1. Inside `vmap` and `compile`
            it must be given.

    >>> import hograd as ho
    >>> ho.one_hot(ho.tensor([0, 2]), 3)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    x, num_classes = indices_of(x, "one_hot"), whole(num_classes, "one_hot", "num_classes")
    given = num_classes
    if num_classes == -1:
        numbers = concrete(x, "one_hot() without num_classes")
        if not numbers.size:
            raise ArgumentError("one_hot: num_classes cannot be taken from no elements.")
        num_classes = max(int(numbers.max()) + 1, 0)
    x = within(
        x,
        0,
        num_classes - 1,
        lambda low, high: ArgumentError(
            "one_hot: class values must be non-negative and smaller than num_classes: found "
            f"{low:g} to {high:g} for {given} classes."
        ),
    )
    return ops.astype(ops.eq(ops.expand_dims(x, -1), beside(x, wrap(np.arange(num_classes)))), np.int64)


@operation(None, lambda s: [])
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each number stands in `x`, or the sum of the weights that stand with it.

    Args:
        x: integers from 0, shape (n,).
        weights: shape (n,); whole numbers are added up in float64.
        minlength: the least length of the answer, which is else the largest number and 1.

    >>> import hograd as ho
    >>> ho.bincount(ho.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    x = indices_of(x, "bincount")
    numbers = concrete(x, "bincount()")
    if x.ndim != 1 or np.any(numbers < 0):
        raise ArgumentError("bincount only supports 1-d non-negative integral inputs.")
    given = weights is not None
    weights = tensor_of(weights, "bincount") if given else ops.ones_like(x, dtype=np.int64)
    if weights.dtype.kind in "biu" and given:
        weights = ops.astype(weights, np.float64)
    if weights.shape != x.shape:
        raise ShapeError(f"bincount: weights have shape {tuple(weights.shape)}, expected that of x, {tuple(x.shape)}.")
    length = max(int(numbers.max()) + 1 if numbers.size else 0, minlength)
    return ops.at_add(ops.zeros(length, dtype=weights.dtype), x, weights)
