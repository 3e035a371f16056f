"""Largest and smallest elements, and where they stand."""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

import numpy as np

from hograd.core.batching import shift
from hograd.core.declare import case, general, operation
from hograd.core.dispatch import apply, bare, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ShapeError
from hograd.ops.axes import axes_of, axis_of, tensor_of
from hograd.ops.reduce import reductions, spread

__all__ = ["amax", "amin", "argmax", "argmin", "max", "min"]


def _extremum(name: str, reduce: Any) -> Any:
    def kernel(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return reduce(x, axis=axis, keepdims=keepdims)

    def pull(F: Any, g: Any, y: Any, x: Any, x_shape: Any, axis: Any, keepdims: bool) -> Any:
        ties = F.eq(x, spread(F, y, x_shape, axis, keepdims))
        share = F.astype(ties, g.dtype)
        return spread(F, g / F.sum(share, axis=axis, keepdims=keepdims), x_shape, axis, keepdims) * share

    def push(F: Any, tangents: Any, values: Any, params: Any) -> Any:
        y, x = values
        axis, keepdims = params["axis"], params["keepdims"]
        share = F.astype(F.eq(x, spread(F, y, x.shape, axis, keepdims)), y.dtype)
        total = F.sum(tangents[0] * share, axis=axis, keepdims=keepdims)
        return total / F.sum(share, axis=axis, keepdims=keepdims)

    return general(name, kernel, [pull], jvp=push, batch=shift("axis"))


_amax = _extremum("amax", np.maximum.reduce)


_amin = _extremum("amin", np.minimum.reduce)


def _reduce_extremum(primitive: Any, x: Any, axis: Any, keepdims: bool) -> Tensor:
    x = tensor_of(x, primitive.name)
    axes = axes_of(axis, x.ndim, primitive.name)
    if not axes:
        return ops.clone(x)
    if 0 in [x.shape[a] for a in axes]:
        raise ShapeError(f"{primitive.name} over no elements: shape {tuple(x.shape)}, axis {axis}; it has no identity.")
    return wrap(apply(primitive, (x,), {"axis": axes, "keepdims": builtins.bool(keepdims)}))


@operation(_amax.kernel, reductions)
def amax(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Largest element over `axis`; ties share the derivative equally. nan if an element is.

    Args:
        x: tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.amax(ho.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([5., 4.])
    """
    return _reduce_extremum(_amax, x, axis, keepdims)


@operation(_amin.kernel, reductions)
def amin(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Smallest element over `axis`; ties share the derivative equally. nan if an element is.

    Args:
        x: tensor.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.amin(ho.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([1., 3.])
    """
    return _reduce_extremum(_amin, x, axis, keepdims)


class Extremum(NamedTuple):
    """Largest or smallest elements along one axis, and where they stand."""

    values: Tensor
    indices: Tensor


def _along(x: Any, axis: Any, keepdims: bool, name: str, index: Any, all_axes: Any, pair: Any) -> Any:
    x = tensor_of(x, name)
    if axis is None:
        return all_axes(x)
    if isinstance(axis, Tensor):
        return pair(x, axis)
    if x.ndim == 0:
        return Extremum(ops.clone(x), Tensor(np.int64(0)))
    axis = axis_of(axis, x.ndim, name)
    if x.shape[axis] == 0:
        raise ShapeError(f"{name} along axis {axis} of length 0: it has no elements.")
    places = index(x, axis, True)
    values = ops.take_along_axis(x, places, axis)
    if keepdims:
        return Extremum(values, places)
    return Extremum(ops.squeeze(values, axis), ops.squeeze(places, axis))


def _forms(s: Any) -> list[Any]:
    return [case(s.normal(3, 4)), case(s.normal(3, 4), 1), case(s.normal(3, 4), dim=0, keepdim=True), case(s.normal())]


@operation(None, _forms)
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Largest element: of all, or along one axis with its position, or of two tensors (`maximum`).

    Args:
        x: tensor.
        axis: None for the largest of all (ties share the derivative); an int gives `values` and `indices`, with
            the derivative going to that position; a tensor gives `maximum(x, axis)`.
        keepdims: keep the reduced axis with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.max(ho.tensor([[1.0, 5.0], [3.0, 4.0]]))
    tensor(5.)
    >>> ho.max(ho.tensor([[1.0, 5.0], [3.0, 4.0]]), 1).indices
    tensor([1, 1])
    """
    return _along(x, axis, keepdims, "max", argmax, amax, ops.maximum)


@operation(None, _forms)
def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Smallest element: of all, or along one axis with its position, or of two tensors (`minimum`).

    Args:
        x: tensor.
        axis: None for the smallest of all (ties share the derivative); an int gives `values` and `indices`, with
            the derivative going to that position; a tensor gives `minimum(x, axis)`.
        keepdims: keep the reduced axis with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.min(ho.tensor([[1.0, 5.0], [3.0, 4.0]]))
    tensor(1.)
    """
    return _along(x, axis, keepdims, "min", argmin, amin, ops.minimum)


def _position(name: str, numpy_function: Any) -> Any:
    def kernel(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return numpy_function(x, axis=axis, keepdims=keepdims)

    def batch(primitive: Any, size: int, values: Any, batched: Any, params: dict[str, Any]) -> Any:
        (x,) = values
        axis, keepdims = params["axis"], params["keepdims"]
        if axis is not None:
            return apply(primitive, (x,), {"axis": axis + 1, "keepdims": keepdims})
        flat = (ops if isinstance(x, Tensor) else np).reshape(x, (size, math.prod(x.shape[1:])))
        answer = bare(apply(primitive, (flat,), {"axis": 1, "keepdims": False}))
        return answer.reshape((size, *(1,) * (x.ndim - 1))) if keepdims else answer

    return general(name, kernel, None, batch=batch)


_argmax = _position("argmax", np.argmax)


_argmin = _position("argmin", np.argmin)


def _find(primitive: Any, x: Any, axis: Any, keepdims: bool) -> Tensor:
    x = tensor_of(x, primitive.name)
    axis = axis if axis is None else axis_of(axis, x.ndim, primitive.name)
    if x.ndim == 0:
        return Tensor(np.int64(0))
    if (x.numel() if axis is None else x.shape[axis]) == 0:
        raise ShapeError(f"{primitive.name} over no elements: shape {tuple(x.shape)}, axis {axis}.")
    return wrap(apply(primitive, (x,), {"axis": axis, "keepdims": builtins.bool(keepdims)}))


def _positions(s: Any) -> list[Any]:
    return [case(s.normal(3, 4)), case(s.normal(3, 4), 0), case(s.normal(3, 4), -1, keepdims=True)]


@operation(_argmax.kernel, _positions, differentiable=False)
def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Position of the largest element (the first of equal ones), along `axis` or in the flattened tensor.

    >>> import hograd as ho
    >>> ho.argmax(ho.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=0)
    tensor([1, 0])
    """
    return _find(_argmax, x, axis, keepdims)


@operation(_argmin.kernel, _positions, differentiable=False)
def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Position of the smallest element (the first of equal ones), along `axis` or in the flattened tensor.

    >>> import hograd as ho
    >>> ho.argmin(ho.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=0)
    tensor([0, 1])
    """
    return _find(_argmin, x, axis, keepdims)
