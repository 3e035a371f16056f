"""Windows of images as columns, and back: what PyTorch calls `unfold` and `fold` among the functions of networks."""

from __future__ import annotations

import math
from typing import Any

from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ShapeError
from hograd.ops.axes import tensor_of
from hograd.ops.conv import per_axis
from hograd.ops.windows import Geometry

__all__ = ["col2im", "im2col"]


def _laid(size: tuple[int, ...], kernel: Any, dilation: Any, padding: Any, stride: Any, name: str) -> Geometry:
    """How the windows lie in an image that has its padding already."""
    kernel, dilation = per_axis(kernel, 2, "kernel_size"), per_axis(dilation, 2, "dilation")
    padding, stride = per_axis(padding, 2, "padding", 0), per_axis(stride, 2, "stride")
    extents = tuple(n + 2 * p for n, p in zip(size, padding, strict=True))
    count = tuple((n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(extents, dilation, kernel, stride, strict=True))
    if min(count) < 1:
        raise ShapeError(
            f"{name}: the kernel, {kernel} with dilation {dilation}, is larger than the padded x, {extents}."
        )
    return Geometry(extents, kernel, count, stride, ((0, 0), (0, 0)), dilation, 1)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 3, 4, 5), 2),
        case(s.normal(2, 5, 6), (2, 3), (2, 1), (1, 0), (1, 2)),
    ],
)
def im2col(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Windows of images as columns; `nn.functional.unfold`.

    Args:
        x: shape ([n,] channels, height, width) (`input`).
        kernel_size: lengths of a window, one number or two; likewise the next three.
        dilation: steps within a window.
        padding: how many zeros to put around.
        stride: steps between windows.

    Returns:
        Shape ([n,] channels * elements of a window, windows).

    >>> import hograd as ho
    >>> ho.im2col(ho.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]), 2)
    tensor([[1., 2.],
            [2., 3.],
            [4., 5.],
            [5., 6.]])
    """
    x = tensor_of(x, "im2col")
    if x.ndim not in (3, 4):
        raise ShapeError(f"im2col: x has shape {tuple(x.shape)}, expected ([n,] channels, height, width).")
    geometry = _laid(tuple(x.shape[-2:]), kernel_size, dilation, padding, stride, "im2col")
    high, wide = per_axis(padding, 2, "padding", 0)
    if high or wide:
        x = ops.pad(x, (wide, wide, high, high))
    columns = x.shape[-3] * math.prod(geometry.kernel)
    return ops.reshape(ops.windows(x, geometry), (*x.shape[:-3], columns, math.prod(geometry.count)))


@operation(
    None,
    lambda s: [
        case(s.normal(2, 12, 12), (4, 5), 2),
        case(s.normal(12, 10), (5, 6), (2, 3), (2, 1), (1, 0), (1, 2)),
    ],
)
def col2im(x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The adjoint of `im2col`: columns as windows of images, added up where they overlap; `nn.functional.fold`.

    Args:
        x: shape ([n,] channels * elements of a window, windows) (`input`).
        output_size: height and width of the images, one number or two.
        kernel_size, dilation, padding, stride: as for `im2col`.

    Returns:
        Shape ([n,] channels, height, width).

    >>> import hograd as ho
    >>> ho.col2im(ho.ones(4, 2), (2, 3), 2)
    tensor([[[1., 2., 1.],
             [1., 2., 1.]]])
    """
    x = tensor_of(x, "col2im")
    size = per_axis(output_size, 2, "output_size")
    geometry = _laid(size, kernel_size, dilation, padding, stride, "col2im")
    elements, windows = math.prod(geometry.kernel), math.prod(geometry.count)
    if x.ndim not in (2, 3) or x.shape[-2] % elements or x.shape[-1] != windows:
        raise ShapeError(
            f"col2im: x has shape {tuple(x.shape)}, expected ([n,] a multiple of {elements}, {windows}) for windows of "
            f"{geometry.kernel} in images of {size}."
        )
    split = ops.reshape(x, (*x.shape[:-2], x.shape[-2] // elements, elements, *geometry.count))
    y = ops.windows_sum(split, geometry)
    high, wide = per_axis(padding, 2, "padding", 0)
    return y[..., high : high + size[0], wide : wide + size[1]] if high or wide else y
