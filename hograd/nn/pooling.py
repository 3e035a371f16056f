"""Layers without parameters that change shapes: pooling and flattening."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from hograd.core.primitive import ops
from hograd.errors import ArgumentError, ShapeError
from hograd.nn.layer import Layer, Scope, each_axis

Lengths = int | Sequence[int]


def _windows(scope: Scope, x: Any, rank: int, options: tuple[Any, ...], fill: float) -> Any:
    """Every element of the windows, in order: shape (elements of a window, ..., *number of windows)."""
    if x.ndim < rank + 1:
        lengths = "length" if rank == 1 else f"{rank} lengths"
        raise ShapeError(f"{scope.where}: x has shape {tuple(x.shape)}, expected (..., channels, {lengths}).")
    kernel_size, stride, padding, dilation = options
    kernel = each_axis(kernel_size, rank, f"{scope.where}: kernel_size")
    strides = kernel if stride is None else each_axis(stride, rank, f"{scope.where}: stride")
    pads = each_axis(padding, rank, f"{scope.where}: padding", 0)
    dilations = each_axis(dilation, rank, f"{scope.where}: dilation")
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        raise ArgumentError(f"{scope.where}: pad should be at most half of effective kernel size, found {padding}.")
    if any(pads):
        x = ops.pad(x, [p for pad in reversed(pads) for p in (pad, pad)], value=fill)
    sizes = x.shape[-rank:]
    spread = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    if any(e > n for e, n in zip(spread, sizes, strict=True)):
        raise ShapeError(f"{scope.where}: the window, {tuple(spread)}, is larger than the padded x, {tuple(sizes)}.")
    ends = [(n - e) // s * s + 1 for n, e, s in zip(sizes, spread, strides, strict=True)]
    parts = []
    for place in itertools.product(*map(range, kernel)):
        starts = [p * d for p, d in zip(place, dilations, strict=True)]
        cuts = (slice(f, f + e, s) for f, e, s in zip(starts, ends, strides, strict=True))
        parts.append(x[(..., *cuts)])
    return ops.stack(parts)


def _maximum(scope: Scope, x: Any, rank: int, *options: Any) -> Any:
    # Of equal elements the first counts, as in PyTorch.
    return ops.max(_windows(scope, x, rank, options, -math.inf), 0)[0]


def _average(scope: Scope, x: Any, rank: int, *options: Any) -> Any:
    return ops.mean(_windows(scope, x, rank, (*options, 1), 0.0), 0)


def _adapted(scope: Scope, x: Any, rank: int, output_size: Lengths) -> Any:
    """Averages over windows that reach from  floor(i n / m)  to  ceil((i + 1) n / m)."""
    if x.ndim < rank + 1:
        raise ShapeError(f"{scope.where}: x has shape {tuple(x.shape)}, expected channels and {rank} lengths.")
    for axis, m in enumerate(each_axis(output_size, rank, f"{scope.where}: output_size"), -rank):
        n = x.shape[axis]
        behind = (slice(None),) * (-axis - 1)
        cuts = [slice(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        x = ops.stack([ops.mean(x[(..., cut, *behind)], axis) for cut in cuts], axis)
    return x


class flatten(Layer):
    """The axes from `start_dim` to `end_dim` as one; by default all but the first.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.flatten().apply({}, ho.ones(5, 2, 3)).shape
    (5, 6)
    """

    start_dim: int = 1
    end_dim: int = -1

    def forward(self, scope: Scope, x: Any) -> Any:
        return x.flatten(self.start_dim, self.end_dim)


class max_pool1d(Layer):
    """The largest in each window; arguments as for `max_pool2d`.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.max_pool1d(2).apply({}, ho.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[3., 2.]])
    """

    kernel_size: Lengths
    stride: Lengths | None = None
    padding: Lengths = 0
    dilation: Lengths = 1

    def forward(self, scope: Scope, x: Any) -> Any:
        return _maximum(scope, x, 1, self.kernel_size, self.stride, self.padding, self.dilation)


class max_pool2d(Layer):
    """The largest in each window.

    Args:
        kernel_size: height and width of the window, or one number for both.
        stride: steps between windows; default the window's lengths.
        padding: how far windows reach beyond the edge, where nothing is; at most half a window.
        dilation: steps within a window.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.max_pool2d(2).apply({}, ho.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[3.]]])
    """

    kernel_size: Lengths
    stride: Lengths | None = None
    padding: Lengths = 0
    dilation: Lengths = 1

    def forward(self, scope: Scope, x: Any) -> Any:
        return _maximum(scope, x, 2, self.kernel_size, self.stride, self.padding, self.dilation)


class avg_pool1d(Layer):
    """The average of each window; arguments as for `avg_pool2d`.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.avg_pool1d(2).apply({}, ho.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[2., 1.]])
    """

    kernel_size: Lengths
    stride: Lengths | None = None
    padding: Lengths = 0

    def forward(self, scope: Scope, x: Any) -> Any:
        return _average(scope, x, 1, self.kernel_size, self.stride, self.padding)


class avg_pool2d(Layer):
    """The average of each window.

    Args:
        kernel_size: height and width of the window, or one number for both.
        stride: steps between windows; default the window's lengths.
        padding: zeros around, which count in the average, as in PyTorch; at most half a window.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.avg_pool2d(2).apply({}, ho.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[1.5000]]])
    """

    kernel_size: Lengths
    stride: Lengths | None = None
    padding: Lengths = 0

    def forward(self, scope: Scope, x: Any) -> Any:
        return _average(scope, x, 2, self.kernel_size, self.stride, self.padding)


class adaptive_avg_pool1d(Layer):
    """Averages over as many windows as the answer shall be long.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.adaptive_avg_pool1d(1).apply({}, ho.tensor([[1.0, 3.0, 2.0]]))
    tensor([[2.]])
    """

    output_size: Lengths

    def forward(self, scope: Scope, x: Any) -> Any:
        return _adapted(scope, x, 1, self.output_size)


class adaptive_avg_pool2d(Layer):
    """Averages over as many windows as the answer shall have; `adaptive_avg_pool2d(1)` averages each channel.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.adaptive_avg_pool2d(1).apply({}, ho.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[1.5000]]])
    """

    output_size: Lengths

    def forward(self, scope: Scope, x: Any) -> Any:
        return _adapted(scope, x, 2, self.output_size)
