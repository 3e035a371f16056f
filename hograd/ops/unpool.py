"""The largest elements of windows, put back where they were; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError, IndexingError, ShapeError
from hograd.ops.axes import beside, shape_of, tensor_of
from hograd.ops.checked import within
from hograd.ops.conv import per_axis
from hograd.ops.create import zeros

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


def _unpooled(x: Any, indices: Any, kernel: Any, stride: Any, padding: Any, output_size: Any, rank: int) -> Tensor:
    name = f"max_unpool{rank}d"
    x, indices = tensor_of(x, name), tensor_of(indices, name)
    if x.ndim not in (rank + 1, rank + 2) or x.shape != indices.shape:
        raise ShapeError(
            f"{name}: x and indices have shapes {tuple(x.shape)} and {tuple(indices.shape)}, expected one shape of "
            f"([n,] channels, and {rank} more)."
        )
    if indices.dtype.kind not in "iu":
        raise DtypeError(f"{name}: indices have dtype {indices.dtype}, expected integers.")
    lead, inner = tuple(x.shape[: x.ndim - rank]), tuple(x.shape[x.ndim - rank :])
    kernel, padding = per_axis(kernel, rank, "kernel_size"), per_axis(padding, rank, "padding", 0)
    stride = kernel if stride is None or stride in ([], ()) else per_axis(stride, rank, "stride")
    default = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(inner, stride, padding, kernel, strict=True))
    lengths = default if output_size is None else shape_of(output_size, name)[-rank:]
    fits = len(lengths) == rank and all(abs(n - m) < s for n, m, s in zip(lengths, default, stride, strict=True))
    if not fits or min(lengths) < 1:
        raise ShapeError(f"{name}: output_size is {lengths}, expected less than a stride from {default}, and above 0.")
    count = math.prod(lengths)
    indices = within(
        indices,
        0,
        count - 1,
        lambda least, largest: IndexingError(
            f"{name}: found an invalid max index, {least:g} or {largest:g}, expected 0 to {count - 1}."
        ),
    )
    flat = beside(x, zeros((*lead, count), dtype=x.dtype))
    places, values = (ops.reshape(v, (*lead, math.prod(inner))) for v in (indices, x))
    return ops.reshape(ops.scatter(flat, len(lead), places, values), (*lead, *lengths))


@operation(
    None,
    lambda s: [
        case(s.normal(2, 2, 3), np.array([[[0, 3, 4], [1, 2, 5]], [[1, 3, 5], [0, 2, 4]]]), 2),
        case(s.normal(1, 2), np.array([[1, 4]]), 3, 2, output_size=6),
    ],
)
def max_unpool1d(
    x: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The inverse of `max_pool1d` but for what it left out, which is 0.

    Args:
        x: shape ([n,] channels, length) (`input`).
        indices: where each element was, as `max_pool1d(..., return_indices=True)` gives it; of the shape of `x`.
        kernel_size, stride, padding: as for `max_pool1d`.
        output_size: length of the answer, where pooling left some over.

    >>> import hograd as ho
    >>> ho.max_unpool1d(ho.tensor([[3.0, 2.0]]), ho.tensor([[1, 2]]), 2)
    tensor([[0., 3., 2., 0.]])
    """
    return _unpooled(x, indices, kernel_size, stride, padding, output_size, 1)


@operation(
    None,
    lambda s: [
        case(s.normal(1, 2, 2, 2), np.array([[[[5, 2], [8, 15]], [[0, 7], [13, 10]]]]), 2),
        case(s.normal(1, 1, 2), np.array([[[3, 5]]]), (2, 3), (2, 2), output_size=(2, 6)),
    ],
)
def max_unpool2d(
    x: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The inverse of `max_pool2d` but for what it left out, which is 0.

    Args:
        x: shape ([n,] channels, height, width) (`input`).
        indices: where each element was, as `max_pool2d(..., return_indices=True)` gives it; of the shape of `x`.
        kernel_size, stride, padding: as for `max_pool2d`.
        output_size: height and width of the answer, where pooling left some over.

    >>> import hograd as ho
    >>> ho.max_unpool2d(ho.tensor([[[3.0]]]), ho.tensor([[[1]]]), 2)
    tensor([[[0., 3.],
             [0., 0.]]])
    """
    return _unpooled(x, indices, kernel_size, stride, padding, output_size, 2)


@operation(None, lambda s: [case(s.normal(1, 2, 1, 1, 2), np.array([[[[[5, 2]]], [[[0, 15]]]]]), 2)])
def max_unpool3d(
    x: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The inverse of `max_pool3d` but for what it left out, which is 0; as `max_unpool2d`, with three lengths.

    >>> import hograd as ho
    >>> ho.max_unpool3d(ho.tensor([[[[3.0]]]]), ho.tensor([[[[1]]]]), (1, 1, 2))
    tensor([[[[0., 3.]]]])
    """
    return _unpooled(x, indices, kernel_size, stride, padding, output_size, 3)
