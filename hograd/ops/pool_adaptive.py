"""Pooling to a given number of windows, in 1 to 3 dimensions; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.dispatch import wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import beside, cut, tensor_of
from hograd.ops.conv import per_axis

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]


def _counts(x: Tensor, output_size: Any, rank: int, name: str) -> list[tuple[int, list[tuple[int, int]]]]:
    """Each axis that has other than one element a window, and where its windows begin and end."""
    if x.ndim not in (rank + 1, rank + 2):
        raise ShapeError(f"{name}: x has shape {tuple(x.shape)}, expected ([n,] channels, and {rank} more).")
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * rank
    if len(wanted) not in (1, rank):
        raise ArgumentError(f"{name}: output_size is {output_size!r}, expected a whole number, or {rank} of them.")
    axes = []
    for axis, count in enumerate(wanted if len(wanted) == rank else wanted * rank, x.ndim - rank):
        n = x.shape[axis]
        if count is None or count == n:
            continue
        (count,) = per_axis(count, 1, "output_size")
        axes.append((axis, [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]))
    return axes


def adaptive_means(x: Any, output_size: Any, rank: int, name: str) -> Tensor:
    """Means of windows that cover the last `rank` axes evenly."""
    x = tensor_of(x, name)
    for axis, spans in _counts(x, output_size, rank, name):
        x = ops.stack([ops.mean(cut(x, axis, *span), axis) for span in spans], axis)
    return x


def _adaptive_maxima(x: Any, output_size: Any, rank: int, return_indices: bool, name: str) -> Any:
    x = tensor_of(x, name)
    lengths = tuple(x.shape[x.ndim - rank :])
    places = None
    # From the last axis to the first, so that the first of ties is the one that comes first in memory.
    for axis, spans in reversed(_counts(x, output_size, rank, name)):
        largest = [ops.max(cut(x, axis, *span), axis) for span in spans]
        x = ops.stack([y for y, _ in largest], axis)
        if return_indices:
            along = ops.stack([i + start for (_, i), (start, _) in zip(largest, spans, strict=True)], axis)
            places = [] if places is None else [(a, ops.take_along_axis(i, along, axis)) for a, i in places]
            places.append((axis - x.ndim, along))
    if not return_indices:
        return x
    found = dict(places or [])
    flat: Any = 0
    for axis, n in zip(range(-rank, 0), lengths, strict=True):
        steps = np.arange(x.shape[axis]).reshape(-1, *(1,) * (-axis - 1))
        flat = flat * n + (found[axis] if axis in found else beside(x, wrap(steps)))
    return x, ops.broadcast_to(flat, x.shape)


@operation(None, lambda s: [case(s.normal(2, 3, 7), 3), case(s.normal(3, 6), 2)])
def adaptive_avg_pool1d(x: Any, output_size: Any) -> Tensor:
    """Means of `output_size` windows that cover the axis evenly.

    Args:
        x: shape ([n,] channels, length) (`input`).
        output_size: how many; None: as many as there are elements.

    >>> import hograd as ho
    >>> ho.adaptive_avg_pool1d(ho.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return adaptive_means(x, output_size, 1, "adaptive_avg_pool1d")


@operation(None, lambda s: [case(s.normal(2, 2, 5, 4), (3, 2)), case(s.normal(2, 4, 5), 1)])
def adaptive_avg_pool2d(x: Any, output_size: Any) -> Tensor:
    """Means of windows that cover the axes evenly.

    Args:
        x: shape ([n,] channels, height, width) (`input`).
        output_size: how many, one number or two; None: as many as there are elements.

    >>> import hograd as ho
    >>> ho.adaptive_avg_pool2d(ho.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 1)
    tensor([[[1.5000]]])
    """
    return adaptive_means(x, output_size, 2, "adaptive_avg_pool2d")


@operation(None, lambda s: [case(s.normal(1, 2, 3, 4, 2), (2, 3, 1)), case(s.normal(2, 2, 2, 3), 1)])
def adaptive_avg_pool3d(x: Any, output_size: Any) -> Tensor:
    """Means of windows that cover the axes evenly.

    Args:
        x: shape ([n,] channels, depth, height, width) (`input`).
        output_size: how many, one number or three; None: as many as there are elements.

    >>> import hograd as ho
    >>> ho.adaptive_avg_pool3d(ho.tensor([[[[1.0, 3.0], [2.0, 0.0]]]]), 1)
    tensor([[[[1.5000]]]])
    """
    return adaptive_means(x, output_size, 3, "adaptive_avg_pool3d")


@operation(None, lambda s: [case(s.normal(2, 3, 7), 3), case(s.normal(3, 6), 2)])
def adaptive_max_pool1d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Largest elements of `output_size` windows that cover the axis evenly; of ties the first has the derivative.

    Args:
        x: shape ([n,] channels, length) (`input`).
        output_size: how many.
        return_indices: return a pair, with the place of each element in its channel.

    >>> import hograd as ho
    >>> ho.adaptive_max_pool1d(ho.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return _adaptive_maxima(x, output_size, 1, return_indices, "adaptive_max_pool1d")


@operation(None, lambda s: [case(s.normal(2, 2, 5, 4), (3, 2)), case(s.normal(2, 4, 5), 1)])
def adaptive_max_pool2d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Largest elements of windows that cover the axes evenly; of ties the first has the derivative.

    Args:
        x: shape ([n,] channels, height, width) (`input`).
        output_size: how many, one number or two; None: as many as there are elements.
        return_indices: return a pair, with the place of each element in its flattened channel.

    >>> import hograd as ho
    >>> ho.adaptive_max_pool2d(ho.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 1)
    tensor([[[3.]]])
    """
    return _adaptive_maxima(x, output_size, 2, return_indices, "adaptive_max_pool2d")


@operation(None, lambda s: [case(s.normal(1, 2, 3, 4, 2), (2, 3, 1)), case(s.normal(2, 2, 2, 3), 1)])
def adaptive_max_pool3d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Largest elements of windows that cover the axes evenly; of ties the first has the derivative.

    Args:
        x: shape ([n,] channels, depth, height, width) (`input`).
        output_size: how many, one number or three; None: as many as there are elements.
        return_indices: return a pair, with the place of each element in its flattened channel.

    >>> import hograd as ho
    >>> ho.adaptive_max_pool3d(ho.tensor([[[[1.0, 3.0], [2.0, 0.0]]]]), 1)
    tensor([[[[3.]]]])
    """
    return _adaptive_maxima(x, output_size, 3, return_indices, "adaptive_max_pool3d")
