"""Reading and replacing parts of tensors by indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.backend import scalarize, to_numpy, zeros
from hograd.core import fast
from hograd.core.batching import in_front, with_shape
from hograd.core.declare import case, general, linear, operation
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import kernels, ops
from hograd.core.tensor import Tensor, below
from hograd.errors import DtypeError, IndexingError, ShapeError
from hograd.ops.axes import axis_of, beside, shape_of, tensor_of
from hograd.ops.indices import SLOT, Index, fill, parse

__all__ = ["at_add", "at_set", "getitem", "place", "take_along_axis", "take_along_dim", "unravel_index"]

# Basic indices: ints, slices and None.


def _getitem_kernel(x: Any, index: Any) -> Any:
    return scalarize(x[index])


def _place_kernel(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = zeros(x, shape)
    out[index] = x
    return out


_getitem = linear(
    "getitem",
    _getitem_kernel,
    lambda F, g, x_shape, index: F.place(g, index, x_shape),
    batch=lambda primitive, size, values, batched, params: apply(
        primitive, values, {"index": (slice(None), *params["index"])}
    ),
)

_place = linear(
    "place",
    _place_kernel,
    lambda F, g, index: F.getitem(g, index),
    batch=lambda primitive, size, values, batched, params: apply(
        primitive, values, {"index": (slice(None), *params["index"]), "shape": (size, *params["shape"])}
    ),
)


@operation(_place_kernel, lambda s: [case(s.normal(2, 3), (slice(1, 3),), (4, 3)), case(s.normal(), (1,), (3,))])
def place(x: Any, index: Any, shape: Any) -> Tensor:
    """Zeros of `shape` with `x` at the basic `index`, the adjoint of reading that index.

    >>> import hograd as ho
    >>> ho.place(ho.tensor([1.0, 2.0]), (slice(1, 3),), (4,))
    tensor([0., 1., 2., 0.])
    """
    x, shape = tensor_of(x, "place"), shape if type(shape) is tuple else shape_of(shape, "place")
    try:
        return fast.one(_place, x, {"index": index, "shape": shape})
    except (ValueError, IndexError) as error:
        raise ShapeError(
            f"place: x of shape {tuple(x.shape)} does not fit index {index} of shape {shape}: {error}."
        ) from None


# Indices with integer arrays, which are arguments so that vmap can map them.


def _gather_kernel(x: Any, *arrays: Any, template: Any) -> Any:
    return scalarize(x[fill(template, arrays)])


def _scatter_kernel(x: Any, *arrays: Any, template: Any, shape: Any) -> Any:
    out = zeros(x, shape)
    np.add.at(out, fill(template, arrays), x)
    return out


def _batch_index(primitive: Any, size: int, values: Any, batched: Any, params: dict[str, Any]) -> Any:
    """With a batch axis in front of x, and perhaps of the arrays.

    NumPy puts the axes of integer arrays that stand side by side in their place, and in front otherwise. Mapped arrays
    take one more array in front, with the positions along the batch axis; where it parts them from their place, their
    axes are moved back there.
    """
    x, *arrays = values
    template: tuple[Any, ...] = params["template"]
    places = [i for i, entry in enumerate(template) if entry is SLOT or isinstance(entry, int)]
    together = places == list(range(places[0], places[0] + len(places)))
    writes = "shape" in params
    grown = {**params, "shape": (size, *params["shape"])} if writes else params
    x = in_front(x, batched[0], size)
    if together and not any(batched[1:]):
        return apply(primitive, [x, *arrays], {**grown, "template": (slice(None), *template)})
    rank = max(a.ndim - b for a, b in zip(arrays, batched[1:], strict=True))
    arrays = [
        with_shape(a, (size, *(1,) * (rank - a.ndim + 1), *a.shape[1:])) if b else a
        for a, b in zip(arrays, batched[1:], strict=True)
    ]
    arrays = [np.arange(size).reshape(size, *(1,) * rank), *arrays]
    grown = {**grown, "template": (SLOT, *template)}
    before = sum(entry is not Ellipsis for entry in template[: places[0]]) if together else 0
    if not before:
        return apply(primitive, [x, *arrays], grown)
    if writes:
        return apply(primitive, [_moved(x, before, rank), *arrays], grown)
    return _moved(apply(primitive, [x, *arrays], grown), rank, before)


def _moved(x: Any, first: int, second: int) -> Any:
    """With the `first` axes behind the batch axis and the `second` ones after them exchanged."""
    order = (0, *range(first + 1, first + second + 1), *range(1, first + 1), *range(first + second + 1, x.ndim))
    return (ops if isinstance(x, Tensor) else kernels).permute(x, order)


_gather = linear(
    "gather_index",
    _gather_kernel,
    lambda F, g, arrays, x_shape, template: F.scatter_index(g, *arrays, template=template, shape=x_shape),
    batch=_batch_index,
    arguments="x *arrays",
    constants=1,
)

_scatter = linear(
    "scatter_index",
    _scatter_kernel,
    lambda F, g, arrays, template: F.gather_index(g, *arrays, template=template),
    batch=_batch_index,
    arguments="x *arrays",
    constants=1,
)


def _gather_public(x: Any, *arrays: Any, template: Any) -> Tensor:
    try:
        return wrap(apply(_gather, (x, *arrays), {"template": template}))
    except IndexError as error:
        raise IndexingError(f"{error} (x has shape {tuple(x.shape)}).") from None


def _scatter_public(x: Any, *arrays: Any, template: Any, shape: Any) -> Tensor:
    try:
        return wrap(apply(_scatter, (x, *arrays), {"template": template, "shape": shape}))
    except IndexError as error:
        raise IndexingError(f"{error} (the tensor has shape {shape}).") from None


ops.gather_index, kernels.gather_index = _gather_public, _gather_kernel
ops.scatter_index, kernels.scatter_index = _scatter_public, _scatter_kernel


@operation(
    _getitem_kernel,
    lambda s: [
        case(s.normal(4, 3), 1),
        case(s.normal(4, 3), (slice(None, None, -2), None, 0)),
        case(s.normal(4, 3), (Ellipsis, 1)),
        case(s.normal(4, 3), [0, 2, 0]),
        case(s.normal(4, 3), (slice(None), np.array([[0, 1], [2, 2]]))),
        case(s.normal(4, 3, 2), (np.array([1, 3]), slice(None), np.array([0, 1]))),
        case(s.normal(4, 3), np.array([True, False, True, True])),
        case(s.normal(2, 3), np.array([[True, False, True], [False, False, True]])),
    ],
)
def getitem(x: Any, index: Any) -> Tensor:
    """x[index], with NumPy's meaning of ints, slices, None, Ellipsis, integer arrays and bool masks.

    Args:
        x: tensor.
        index: as in NumPy; an element read twice collects both cotangents.

    Raises:
        IndexingError: the index does not fit the shape.

    >>> import hograd as ho
    >>> x = ho.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> x[1]
    tensor([3., 4.])
    >>> x[:, [1, 1, 0]]
    tensor([[2., 2., 1.],
            [4., 4., 3.]])
    """
    x = tensor_of(x, "getitem")
    template, arrays = parse(index, x.shape)
    if not arrays:
        return fast.one(_getitem, x, {"index": template})
    return _gather_public(x, *arrays, template=template)


def _along(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4), np.array([[0], [3], [3]]), 1),
        case(s.normal(3, 4), np.array([[0, 1, 2, 2], [1, 1, 0, 2]]), axis=0),
        case(s.normal(3), np.array([2, 2, 0, 1]), dim=0),
    ]


@operation(lambda x, indices, axis: np.take_along_axis(x, indices, axis), _along)
def take_along_axis(x: Any, indices: Any, axis: int) -> Tensor:
    """Elements of `x` along one axis, at positions given for each place of the other axes.

    Args:
        x: tensor.
        indices: integer tensor with as many axes as `x`; the other axes are broadcast.
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.take_along_axis(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), ho.tensor([[1], [0]]), axis=1)
    tensor([[2.],
            [3.]])
    """
    x, indices = tensor_of(x, "take_along_axis"), tensor_of(indices, "take_along_axis")
    axis = axis_of(axis, x.ndim, "take_along_axis")
    if indices.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: indices have {indices.ndim} axes, expected as many as x, {x.ndim}.")
    if any(
        n not in (1, m) and m != 1 for i, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True)) if i != axis
    ):
        raise ShapeError(f"take_along_axis: indices of shape {tuple(indices.shape)} do not fit x, {tuple(x.shape)}.")
    entries = [
        indices
        if i == axis
        else np.arange(n).reshape((-1,) + (1,) * (x.ndim - 1 - i))
        if n != 1
        else np.zeros((1,) * x.ndim, int)
        for i, n in enumerate(x.shape)
    ]
    return getitem(x, tuple(entries))


class At:
    """`x.at[index]`: pure indexed updates."""

    def __init__(self, x: Tensor, index: Any = None) -> None:
        self._x = x
        self._index = index

    def __getitem__(self, index: Any) -> At:
        return At(self._x, index)

    def set(self, value: Any) -> Tensor:
        """A tensor with `value` at the index; where an integer index repeats, one value counts,
        NumPy's choice of the last."""
        return ops.at_set(self._x, self._index, value)

    def add(self, value: Any) -> Tensor:
        """A tensor with `value` added at the index, once for each time that an element is named."""
        return ops.at_add(self._x, self._index, value)


ops.at = At


def _last_kernel(x: Any, *arrays: Any, template: Any, shape: Any) -> Any:
    out = np.full(shape, -1)
    out[fill(template, tuple(map(to_numpy, arrays)))] = x
    return out


# For each element of `shape` the last of the numbers `x` that is written there, or -1.
_last = general("index_last", _last_kernel, None, arguments="x *arrays", batch=_batch_index)


def _updates(s: Any) -> list[Any]:
    return [
        case(s.normal(4, 3), 1, s.normal(3)),
        case(s.normal(4, 3), (slice(1, 3), 0), s.normal()),
        case(s.normal(4, 3), [0, 2, 0], s.normal(3, 3)),
        case(s.normal(4, 3), (slice(None), np.array([0, 0])), s.normal(4, 2)),
        case(s.normal(3), np.array([True, False, True]), 2.0),
    ]


def _value_at(x: Any, index: Any, value: Any, name: str) -> tuple[Tensor, Index, Tensor, tuple[int, ...]]:
    x = tensor_of(x, name)
    parsed = parse(index, x.shape)
    places = tuple(np.zeros(array.shape, int) for array in parsed.arrays)
    shape = np.broadcast_to(np.False_, x.shape)[fill(parsed.template, places)].shape
    value = beside(x, ops.astype(tensor_of(value, name), x.dtype))
    extra = value.ndim - len(shape)
    if extra > 0 and all(n == 1 for n in value.shape[:extra]):
        value = ops.reshape(value, value.shape[extra:])
    if value.ndim > len(shape) or any(n not in (1, m) for n, m in zip(value.shape[::-1], shape[::-1], strict=False)):
        raise ShapeError(
            f"shape mismatch: value of shape {tuple(value.shape)} cannot be broadcast to indexing result of "
            f"shape {shape}."
        )
    return x, parsed, ops.broadcast_to(value, shape), shape


@operation(None, _updates)
def at_add(x: Any, index: Any, value: Any) -> Tensor:
    """`x` with `value` added at `index` (`x.at[index].add(value)`).

    >>> import hograd as ho
    >>> ho.at_add(ho.zeros(3), [0, 0, 2], 1.0)
    tensor([2., 0., 1.])
    """
    x, (template, arrays), value, _ = _value_at(x, index, value, "at_add")
    if not arrays:
        return ops.add(x, place(value, template, x.shape))
    return ops.add(x, _scatter_public(value, *arrays, template=template, shape=x.shape))


@operation(None, _updates)
def at_set(x: Any, index: Any, value: Any) -> Tensor:
    """`x` with `value` at `index` (`x.at[index].set(value)`); where an integer index repeats, one value counts.

    >>> import hograd as ho
    >>> ho.at_set(ho.zeros(3), slice(1, 3), ho.tensor([5.0, 6.0]))
    tensor([0., 5., 6.])
    """
    x, (template, arrays), value, shape = _value_at(x, index, value, "at_set")
    if not arrays:
        mask = zeros(below(x), x.shape, bool)
        mask[template] = True
        return ops.where(scalarize(mask), place(value, template, x.shape), x)
    count = int(np.prod(shape))
    if count == 0:
        return x
    numbers = np.arange(count).reshape(shape)
    try:
        source = wrap(apply(_last, (numbers, *arrays), {"template": template, "shape": tuple(x.shape)}))
    except IndexError as error:
        raise IndexingError(f"{error} (x has shape {tuple(x.shape)}).") from None
    source = beside(x, source)
    written = ops.getitem(ops.reshape(value, (-1,)), ops.where(ops.ge(source, 0), source, 0))
    return ops.where(ops.ge(source, 0), written, x)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), np.array([[0], [3], [3]]), 1),
        case(s.normal(3, 4), np.array([[0, -1]]), axis=1),
        case(s.normal(2, 3), np.array([5, 0, 2])),
    ],
)
def take_along_dim(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """`take_along_axis` by the name that PyTorch has for it; without an axis, positions in the flattened tensor.

    Args:
        x: tensor (`input`).
        indices: integer tensor, broadcast against `x` but along the axis; negative ones count from the end.
        axis: int, or None (`dim`).

    >>> import hograd as ho
    >>> ho.take_along_dim(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), ho.tensor([3, 0]))
    tensor([4., 1.])
    """
    x, indices = tensor_of(x, "take_along_dim"), tensor_of(indices, "take_along_dim")
    if indices.dtype.kind not in "iu":
        raise IndexingError(f"take_along_dim: indices have dtype {indices.dtype}, expected integers.")
    if axis is None:
        return take_along_axis(ops.reshape(x, (-1,)), ops.reshape(indices, (-1,)), 0)
    return take_along_axis(x, indices, axis)


@operation(None, lambda s: [case(np.array([[3, 5], [0, 1]]), (2, 3)), case(np.array([1, 2]), 4)], differentiable=False)
def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """The positions along every axis of elements that are counted in a flattened tensor.

    Args:
        indices: integer tensor; negative numbers, and those behind the last element, wrap around.
        shape: lengths of the axes, or one length.

    Returns:
        A tensor for each axis, of the shape of `indices`.

    >>> import hograd as ho
    >>> ho.unravel_index(ho.tensor([3, 5]), (2, 3))
    (tensor([1, 1]), tensor([0, 2]))
    """
    indices, shape = tensor_of(indices, "unravel_index"), shape_of(shape, "unravel_index")
    if indices.dtype.kind not in "iu":
        raise DtypeError(f"unravel_index: expected 'indices' to be integer dtype, but got {indices.dtype}.")
    if min(shape, default=0) < 0:
        raise ShapeError(f"unravel_index: 'shape' cannot have negative values, but got {shape}.")
    answers: list[Tensor] = []
    for length in reversed(shape):
        answers.append(ops.remainder(indices, max(length, 1)))
        indices = ops.floor_divide(indices, max(length, 1))
    return tuple(reversed(answers))
