"""Pooling of windows in 1 to 3 dimensions; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import zeros
from hograd.core.batching import shift
from hograd.core.declare import case, linear, operation
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import ops, register
from hograd.core.tensor import Tensor, below
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import beside, tensor_of
from hograd.ops.conv import per_axis
from hograd.ops.windows import Geometry, places

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d"]


def _windows_kernel(x: Any, geometry: Geometry) -> Any:
    lead = x.ndim - len(geometry.size)
    found = np.empty_like(x, shape=(*x.shape[:lead], math.prod(geometry.kernel), *geometry.count))
    for k, (_, slices) in enumerate(places(geometry)):
        found[(slice(None),) * lead + (k,)] = x[(..., *slices)]
    return found


def _gathered_kernel(x: Any, geometry: Geometry) -> Any:
    lead = x.ndim - len(geometry.size) - 1
    total = zeros(x, (*x.shape[:lead], *geometry.size))
    for k, (_, slices) in enumerate(places(geometry)):
        total[(..., *slices)] += x[(slice(None),) * lead + (k,)]
    return total


#: The windows of the last axes, shape (..., elements of a window, *count).
_windows = linear("windows", _windows_kernel, lambda F, g, geometry: F.windows_sum(g, geometry), batch=shift())
#: Its adjoint: the windows, added up where they lie.
_gathered = linear("windows_sum", _gathered_kernel, lambda F, g, geometry: F.windows(g, geometry), batch=shift())

register("windows", lambda x, geometry: wrap(apply(_windows, (x,), {"geometry": geometry})), _windows_kernel)
register("windows_sum", lambda x, geometry: wrap(apply(_gathered, (x,), {"geometry": geometry})), _gathered_kernel)


def _laid(
    x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, rank: int, name: str
) -> Any:
    """How the windows lie in x without its padding, and how long it is with it."""
    if x.ndim not in (rank + 1, rank + 2):
        raise ShapeError(f"{name}: x has shape {tuple(x.shape)}, expected ([n,] channels, and {rank} more).")
    kernel = per_axis(kernel, rank, "kernel_size")
    stride = kernel if stride is None or stride in ([], ()) else per_axis(stride, rank, "stride")
    padding, dilation = per_axis(padding, rank, "padding", 0), per_axis(dilation, rank, "dilation")
    size, count = tuple(x.shape[x.ndim - rank :]), []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        if 2 * p > k:
            raise ArgumentError(f"{name}: pad should be at most half of effective kernel size, got {p} for {k}.")
        room = n + 2 * p - d * (k - 1) - 1
        windows = (room + (s - 1 if ceil_mode else 0)) // s + 1
        # The last window starts inside of x or of the padding in front of it.
        windows -= ceil_mode and (windows - 1) * s >= n + p
        count.append(windows)
    if min(count) < 1:
        raise ShapeError(f"{name}: the kernel, {kernel}, is larger than the padded x, {size}.")
    return Geometry(size, kernel, tuple(count), stride, tuple((p, p) for p in padding), dilation, 1)


def _window_elements(x: Tensor, geometry: Geometry, fill: float) -> Tensor:
    size, kernel, count, stride, padding, dilation, _ = geometry
    behind = [
        max(p, (c - 1) * s + (k - 1) * d + 1 - n - p)
        for n, k, c, s, (p, _), d in zip(size, kernel, count, stride, padding, dilation, strict=True)
    ]
    extents = tuple(n + p + q for n, (p, _), q in zip(size, padding, behind, strict=True))
    if extents != size:
        widths = [w for (p, _), q in zip(reversed(padding), reversed(behind), strict=True) for w in (p, q)]
        x = ops.pad(x, tuple(widths), value=fill)
    return ops.windows(x, geometry._replace(size=extents, padding=((0, 0),) * len(size)))


def _max_pool(
    x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, return_indices: bool, rank: int
) -> Any:
    name = f"max_pool{rank}d"
    x = tensor_of(x, name)
    geometry = _laid(x, kernel, stride, padding, dilation, ceil_mode, rank, name)
    y, element = ops.max(_window_elements(x, geometry, -math.inf), x.ndim - rank)
    return (y, _positions(element, geometry)) if return_indices else y


def _positions(element: Tensor, geometry: Geometry) -> Tensor:
    """Where in the flattened last axes of x an element of each window lies."""
    total: Any = 0
    inside = math.prod(geometry.kernel)
    for axis, (n, k, c, s, (p, _), d) in enumerate(zip(*geometry[:6], strict=True)):
        inside //= k
        starts = (np.arange(c) * s - p).reshape(-1, *(1,) * (len(geometry.size) - axis - 1))
        within = element // inside % k if inside > 1 else element % k
        total = total * n + beside(element, wrap(starts)) + within * d
    return total


def _avg_pool(
    x: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, include: bool, divisor: Any, rank: int
) -> Tensor:
    name = f"avg_pool{rank}d"
    x = tensor_of(x, name)
    geometry = _laid(x, kernel, stride, padding, 1, ceil_mode, rank, name)
    total = ops.sum(_window_elements(x, geometry, 0.0), x.ndim - rank)
    if divisor is not None:
        if not divisor:
            raise ArgumentError(f"{name} got divisor_override=0: divisor must be not zero.")
        return total / divisor
    counts: Any = np.ones(())
    for n, k, c, s, (p, _) in zip(*geometry[:4], geometry.padding, strict=True):
        starts = np.arange(c) * s - p
        ends = np.minimum(starts + k, n + p)
        if not include:
            starts, ends = np.maximum(starts, 0), np.minimum(ends, n)
        counts = np.multiply.outer(counts, ends - starts)
    if np.all(counts == counts.flat[0]):
        return total / float(counts.flat[0])
    return total / wrap(np.asarray(counts.astype(x.dtype), like=below(x)))


@operation(
    None,
    lambda s: [
        case(s.normal(2, 3, 7), 3),
        case(s.normal(3, 8), 2, 3, 1, 2),
        case(s.normal(1, 2, 7), 3, stride=2, padding=1, ceil_mode=True),
    ],
)
def max_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window; of several the first has the derivative, as in PyTorch.

    Args:
        x: shape ([n,] channels, length) (`input`).
        kernel_size: length of a window.
        stride: step between windows; default `kernel_size`.
        padding: how many -inf to put in front and behind, at most half a window.
        dilation: step within a window.
        ceil_mode: also take a last window that is not full.
        return_indices: return a pair, with the place of each element in its channel.

    >>> import hograd as ho
    >>> ho.max_pool1d(ho.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return _max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 1)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 2, 4, 5), 2),
        case(s.normal(2, 5, 6), (2, 3), (2, 1), (1, 0), (1, 2)),
        case(s.normal(1, 1, 5, 5), 3, stride=2, padding=1, ceil_mode=True),
    ],
)
def max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window; of several the first has the derivative, as in PyTorch.

    Args:
        x: shape ([n,] channels, height, width) (`input`).
        kernel_size: lengths of a window, one number or two; likewise the next three.
        stride: steps between windows; default `kernel_size`.
        padding: how many -inf to put in front and behind, at most half a window.
        dilation: steps within a window.
        ceil_mode: also take last windows that are not full.
        return_indices: return a pair, with the place of each element in its flattened channel.

    >>> import hograd as ho
    >>> ho.max_pool2d(ho.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 2)
    tensor([[[3.]]])
    """
    return _max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 2)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 2, 4, 3), (2, 2, 3)),
        case(s.normal(1, 1, 3, 4, 4), 2, stride=(1, 2, 2), padding=(0, 1, 0), dilation=(2, 1, 1)),
    ],
)
def max_pool3d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window; as `max_pool2d`, with three numbers where that has two.

    Args:
        x: shape ([n,] channels, depth, height, width) (`input`).
        kernel_size, stride, padding, dilation: one number or three.
        ceil_mode, return_indices: as for `max_pool2d`.

    >>> import hograd as ho
    >>> ho.max_pool3d(ho.tensor([[[[1.0, 3.0], [2.0, 0.0]]]]), (1, 2, 2))
    tensor([[[[3.]]]])
    """
    return _max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 3)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 3, 7), 3),
        case(s.normal(3, 8), 3, 2, 1),
        case(s.normal(1, 2, 8), 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    ],
)
def avg_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean of each window.

    Args:
        x: shape ([n,] channels, length) (`input`).
        kernel_size: length of a window.
        stride: step between windows; default `kernel_size`.
        padding: how many zeros to put in front and behind, at most half a window.
        ceil_mode: also take a last window that is not full.
        count_include_pad: count these zeros in the mean.

    >>> import hograd as ho
    >>> ho.avg_pool1d(ho.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, None, 1)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 2, 4, 5), 2),
        case(s.normal(2, 5, 6), (2, 3), (2, 1), (1, 0), count_include_pad=False),
        case(s.normal(1, 1, 6, 6), 3, stride=2, padding=1, ceil_mode=True),
        case(s.normal(1, 1, 4, 4), 2, divisor_override=3),
    ],
)
def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window.

    Args:
        x: shape ([n,] channels, height, width) (`input`).
        kernel_size: lengths of a window, one number or two; likewise the next two.
        stride: steps between windows; default `kernel_size`.
        padding: how many zeros to put in front and behind, at most half a window.
        ceil_mode: also take last windows that are not full.
        count_include_pad: count these zeros in the mean.
        divisor_override: divide sums by this number instead.

    >>> import hograd as ho
    >>> ho.avg_pool2d(ho.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 2)
    tensor([[[1.5000]]])
    """
    return _avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 2)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 2, 4, 3), (2, 2, 3)),
        case(s.normal(1, 1, 3, 4, 4), 2, stride=1, padding=(0, 1, 1), count_include_pad=False),
    ],
)
def avg_pool3d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window; as `avg_pool2d`, with three numbers where that has two.

    Args:
        x: shape ([n,] channels, depth, height, width) (`input`).
        kernel_size, stride, padding: one number or three.
        ceil_mode, count_include_pad, divisor_override: as for `avg_pool2d`.

    >>> import hograd as ho
    >>> ho.avg_pool3d(ho.tensor([[[[1.0, 3.0], [2.0, 0.0]]]]), (1, 2, 2))
    tensor([[[[1.5000]]]])
    """
    return _avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 3)
