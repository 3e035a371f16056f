"""Axes as users give them, made into the form that primitives take: tuples of numbers from 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd.backend import SUPPORTED, as_array
from hograd.core.dispatch import as_operand, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor, below, concrete
from hograd.errors import DtypeError, ShapeError


def tensor_of(x: Any, name: str) -> Tensor:
    """What a user gave for a tensor, as one."""
    return x if isinstance(x, Tensor) else wrap(as_array(as_operand(x, name, 0)))


def operand(F: Any, x: Any, name: str) -> Any:
    """What `F` can take for `x`: a tensor where a user may have given anything, bare arrays as they are."""
    return tensor_of(x, name) if F is ops else x


def beside(x: Tensor, made: Tensor) -> Tensor:
    """A tensor that was made of Python numbers or of an index, where the numbers of `x` lie."""
    array, host = below(x), below(made)
    if isinstance(array, (np.ndarray, np.generic)) or not isinstance(host, (np.ndarray, np.generic)):
        return made
    return Tensor(np.asarray(concrete(made, "moving to another array module"), like=array))


def whole(n: Any, name: str, what: str) -> int:
    """A number that counts something, as an int."""
    try:
        return n.__index__()
    except AttributeError:
        raise DtypeError(f"{name} got {what} {n!r}, expected a whole number.") from None


def common_shape(name: str, *tensors: Any) -> tuple[int, ...]:
    """The shape to which tensors are broadcast together."""
    try:
        return np.broadcast_shapes(*[x.shape for x in tensors])
    except ValueError:
        shapes = " and ".join(str(tuple(x.shape)) for x in tensors)
        raise ShapeError(f"{name}: shapes {shapes} cannot be broadcast against each other.") from None


def axis_of(axis: Any, rank: int, name: str) -> int:
    """One axis, counted from 0."""
    try:
        axis = axis.__index__()
    except AttributeError:
        raise DtypeError(f"{name} got axis {axis!r}, expected a whole number.") from None
    if not -max(rank, 1) <= axis < max(rank, 1):
        raise ShapeError(
            f"Dimension out of range: {name} got axis {axis}, but the tensor has {rank} axes, expected "
            f"{-max(rank, 1)} to {max(rank, 1) - 1}."
        )
    return axis % max(rank, 1)


def axes_of(axis: Any, rank: int, name: str) -> tuple[int, ...]:
    """The axes of a reduction, counted from 0 and in order; None, or none at all, is every axis."""
    if type(axis) is tuple and len(axis) == 1:
        axis = axis[0]
    if type(axis) is int and 0 <= axis < rank:
        return (axis,)
    if axis is None or (isinstance(axis, Sequence) and not axis):
        return tuple(range(rank))
    given = axis if isinstance(axis, Sequence) else (axis,)
    axes = sorted(axis_of(a, rank, name) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name} got axis {axis}, in which an axis appears multiple times.")
    return tuple(axes) if rank else ()


def shape_of(shape: Any, name: str) -> tuple[int, ...]:
    """A shape as a tuple of lengths; an int is one axis."""
    try:
        return tuple(n.__index__() for n in shape) if isinstance(shape, Sequence) else (shape.__index__(),)
    except AttributeError:
        raise ShapeError(f"{name} got shape {shape!r}, expected whole numbers.") from None


def dtype_of(dtype: Any) -> np.dtype[Any]:
    """What a user gave for a dtype, as one."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind not in SUPPORTED:
        raise DtypeError(f"dtype is {dtype!r}, expected a dtype of numbers, such as hograd.float32.") from None
    return found


def without(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    """The shape that a reduction over `axes` leaves."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape) if keepdims or i not in axes)


def cut(x: Any, axis: int, *bounds: int | None) -> Any:
    """The slice of an array or tensor along one axis."""
    return x[(slice(None),) * axis + (slice(*bounds),)]
