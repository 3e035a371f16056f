"""Layers without parameters that change shapes: pooling and flattening."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hograd.core.primitive import ops
from hograd.errors import ShapeError
from hograd.nn.layer import Layer, Scope

Lengths = int | Sequence[int]


def _checked(scope: Scope, x: Any, rank: int) -> Any:
    if x.ndim not in (rank + 1, rank + 2):
        lengths = "length" if rank == 1 else f"{rank} lengths"
        raise ShapeError(f"{scope.where}: x has shape {tuple(x.shape)}, expected ([n,] channels, {lengths}).")
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
    ceil_mode: bool = False

    def forward(self, scope: Scope, x: Any) -> Any:
        x = _checked(scope, x, 1)
        return ops.max_pool1d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)


class max_pool2d(Layer):
    """The largest in each window.

    Args:
        kernel_size: height and width of the window, or one number for both.
        stride: steps between windows; default the window's lengths.
        padding: how far windows reach beyond the edge, where nothing is; at most half a window.
        dilation: steps within a window.
        ceil_mode: also take last windows that are not full.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.max_pool2d(2).apply({}, ho.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[3.]]])
    """

    kernel_size: Lengths
    stride: Lengths | None = None
    padding: Lengths = 0
    dilation: Lengths = 1
    ceil_mode: bool = False

    def forward(self, scope: Scope, x: Any) -> Any:
        x = _checked(scope, x, 2)
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)


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
    ceil_mode: bool = False
    count_include_pad: bool = True

    def forward(self, scope: Scope, x: Any) -> Any:
        x = _checked(scope, x, 1)
        windows = self.kernel_size, self.stride, self.padding, self.ceil_mode
        return ops.avg_pool1d(x, *windows, self.count_include_pad)


class avg_pool2d(Layer):
    """The average of each window.

    Args:
        kernel_size: height and width of the window, or one number for both.
        stride: steps between windows; default the window's lengths.
        padding: zeros around; at most half a window.
        ceil_mode: also take last windows that are not full.
        count_include_pad: count these zeros in the average, as PyTorch does.
        divisor_override: divide sums by this number instead.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.avg_pool2d(2).apply({}, ho.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[1.5000]]])
    """

    kernel_size: Lengths
    stride: Lengths | None = None
    padding: Lengths = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def forward(self, scope: Scope, x: Any) -> Any:
        x = _checked(scope, x, 2)
        windows = self.kernel_size, self.stride, self.padding, self.ceil_mode
        return ops.avg_pool2d(x, *windows, self.count_include_pad, self.divisor_override)


class adaptive_avg_pool1d(Layer):
    """Averages over as many windows as the answer shall be long.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.adaptive_avg_pool1d(1).apply({}, ho.tensor([[1.0, 3.0, 2.0]]))
    tensor([[2.]])
    """

    output_size: Lengths

    def forward(self, scope: Scope, x: Any) -> Any:
        return ops.adaptive_avg_pool1d(_checked(scope, x, 1), self.output_size)


class adaptive_avg_pool2d(Layer):
    """Averages over as many windows as the answer shall have; `adaptive_avg_pool2d(1)` averages each channel.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.adaptive_avg_pool2d(1).apply({}, ho.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[1.5000]]])
    """

    output_size: Lengths

    def forward(self, scope: Scope, x: Any) -> Any:
        return ops.adaptive_avg_pool2d(_checked(scope, x, 2), self.output_size)
