"""Convolutions and transposed ones in 1, 2 and 3 dimensions; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.dispatch import promote
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import tensor_of
from hograd.ops.windows import Geometry, conv_biased

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def per_axis(value: Any, rank: int, name: str, least: int = 1) -> tuple[int, ...]:
    """An int, or a sequence with one for each axis, as a tuple."""
    given = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    given = given * rank if len(given) == 1 else given
    if len(given) != rank or not all(isinstance(v, (int, np.integer)) and v >= least for v in given):
        raise ArgumentError(f"{name} is {value!r}, expected a whole number of at least {least}, or {rank} of them.")
    return tuple(map(int, given))


def _prepared(x: Any, weight: Any, bias: Any, rank: int, name: str) -> tuple[Any, Any, Any, bool]:
    x, weight = promote(name, tensor_of(x, name), tensor_of(weight, name))
    if weight.ndim != rank + 2 or x.ndim not in (rank + 1, rank + 2):
        raise ShapeError(
            f"{name}: x has shape {tuple(x.shape)} and weight {tuple(weight.shape)}, expected ([n,] channels, "
            f"{'length' if rank == 1 else f'{rank} lengths'}) and a weight with {rank + 2} axes."
        )
    single = x.ndim == rank + 1
    return ops.expand_dims(x, 0) if single else x, weight, None if bias is None else tensor_of(bias, name), single


def _finished(y: Any, bias: Any, single: bool, name: str) -> Tensor:
    if bias is not None:
        if bias.shape != (y.shape[1],):
            raise ShapeError(f"{name}: bias has shape {tuple(bias.shape)}, expected ({y.shape[1]},).")
        if bias.dtype.kind == "c" and y.dtype.kind != "c":
            raise DtypeError(f"{name}: bias is {bias.dtype}, but x and weight are real: expected a real bias.")
        y = y + ops.reshape(bias, (-1, *(1,) * (y.ndim - 2)))
    return ops.reshape(y, y.shape[1:]) if single else y


def convolve(
    x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, rank: int
) -> Tensor:
    """The convolution of `rank` dimensions that `conv1d`, `conv2d` and `conv3d` document."""
    name = f"conv{rank}d"
    x, weight, bias, single = _prepared(x, weight, bias, rank, name)
    stride, dilation = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    kernel, size = tuple(weight.shape[2:]), tuple(x.shape[2:])
    spread = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ArgumentError(f"{name}: padding='same' is not supported for strided convolutions.")
        pads = tuple((e // 2, e - e // 2) for e in spread)
    elif padding == "valid" or not isinstance(padding, str):
        pads = tuple((p, p) for p in per_axis(0 if padding == "valid" else padding, rank, "padding", 0))
    else:
        raise ArgumentError(f"{name} got padding={padding!r}, expected whole numbers, 'same' or 'valid'.")
    if groups < 1 or weight.shape[0] % groups or x.shape[1] != weight.shape[1] * groups:
        raise ShapeError(
            f"{name}: x has {x.shape[1]} channels and weight shape {tuple(weight.shape)} with groups={groups}, "
            f"expected {weight.shape[1] * groups} channels, and outputs that groups divides."
        )
    count = tuple(
        (n + low + high - e - 1) // s + 1 for n, (low, high), e, s in zip(size, pads, spread, stride, strict=True)
    )
    if min(count) < 1:
        raise ShapeError(f"{name}: the kernel, {kernel} with dilation {dilation}, is larger than the padded x, {size}.")
    geometry = Geometry(size, kernel, count, stride, pads, dilation, groups)
    if bias is not None and bias.shape == weight.shape[:1] and bias.dtype is weight.dtype:
        return _finished(conv_biased(x, weight, bias, geometry=geometry), None, single, name)
    return _finished(ops.conv_forward(x, weight, geometry), bias, single, name)


def transposed(
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    rank: int,
) -> Tensor:
    """The transposed convolution of `rank` dimensions."""
    name = f"conv_transpose{rank}d"
    x, weight, bias, single = _prepared(x, weight, bias, rank, name)
    stride, dilation = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    pads, more = per_axis(padding, rank, "padding", 0), per_axis(output_padding, rank, "output_padding", 0)
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise ArgumentError(f"{name}: output_padding {more} must be smaller than either stride or dilation.")
    if groups < 1 or x.shape[1] % groups or x.shape[1] != weight.shape[0]:
        raise ShapeError(
            f"{name}: x has {x.shape[1]} channels and weight shape {tuple(weight.shape)} with groups={groups}, "
            f"expected {weight.shape[0]} channels, which groups divides."
        )
    kernel, count = tuple(weight.shape[2:]), tuple(x.shape[2:])
    size = tuple(
        (c - 1) * s - 2 * p + d * (k - 1) + m + 1
        for c, s, p, d, k, m in zip(count, stride, pads, dilation, kernel, more, strict=True)
    )
    if min(size) < 1:
        raise ShapeError(f"{name}: the answer would have lengths {size}, expected a smaller padding.")
    geometry = Geometry(size, kernel, count, stride, tuple((p, p) for p in pads), dilation, groups)
    return _finished(ops.conv_input(x, weight, geometry), bias, single, name)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 3, 5), s.normal(4, 3, 2), s.normal(4)),
        case(s.normal(2, 4, 6), s.normal(2, 2, 3), stride=2, padding=1, groups=2),
        case(s.normal(3, 5), s.normal(2, 3, 3), s.normal(2), padding="same", dilation=2),
        case(s.normal(2, 2, 3), s.normal(2, 2, 2), padding=2),
    ],
)
def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution in 1-d,  y[o, i] = sum_ck weight[o, c, k] x[c, stride i + dilation k - padding] + bias[o].

    Args:
        x: shape ([n,] inputs, length) (`input`).
        weight: shape (outputs, inputs / groups, length).
        bias: shape (outputs,), or None.
        stride, dilation: whole numbers, for all axes or one each.
        padding: zeros in front and behind, likewise; or "same", which keeps the lengths, or "valid", which is 0.
        groups: how many groups of channels go separately.

    >>> import hograd as ho
    >>> ho.conv1d(ho.ones(1, 2, 4), ho.ones(3, 2, 2)).shape
    (1, 3, 3)
    """
    return convolve(x, weight, bias, stride, padding, dilation, groups, 1)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 2, 4, 3), s.normal(3, 2, 2, 2), s.normal(3)),
        case(s.normal(2, 4, 4, 5), s.normal(4, 2, 3, 2), None, (2, 1), (1, 0), (1, 2), 2),
        case(s.normal(2, 3, 3), s.normal(2, 2, 2, 2), padding="same"),
    ],
)
def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution in 2-d,  y[o, i] = sum_ck weight[o, c, k] x[c, stride i + dilation k - padding] + bias[o].

    Args:
        x: shape ([n,] inputs, height, width) (`input`).
        weight: shape (outputs, inputs / groups, height, width).
        bias: shape (outputs,), or None.
        stride, dilation: whole numbers, for all axes or one each.
        padding: zeros in front and behind, likewise; or "same", which keeps the lengths, or "valid", which is 0.
        groups: how many groups of channels go separately.

    >>> import hograd as ho
    >>> ho.conv2d(ho.ones(1, 2, 4, 4), ho.ones(3, 2, 2, 2)).shape
    (1, 3, 3, 3)
    """
    return convolve(x, weight, bias, stride, padding, dilation, groups, 2)


@operation(
    None,
    lambda s: [
        case(s.normal(1, 2, 3, 2, 3), s.normal(2, 2, 2, 2, 2), s.normal(2), padding=(1, 0, 0), stride=(2, 1, 1)),
    ],
)
def conv3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution in 3-d,  y[o, i] = sum_ck weight[o, c, k] x[c, stride i + dilation k - padding] + bias[o].

    Args:
        x: shape ([n,] inputs, depth, height, width) (`input`).
        weight: shape (outputs, inputs / groups, depth, height, width).
        bias: shape (outputs,), or None.
        stride, dilation: whole numbers, for all axes or one each.
        padding: zeros in front and behind, likewise; or "same", which keeps the lengths, or "valid", which is 0.
        groups: how many groups of channels go separately.

    >>> import hograd as ho
    >>> ho.conv3d(ho.ones(1, 2, 4, 4, 4), ho.ones(3, 2, 2, 2, 2)).shape
    (1, 3, 3, 3, 3)
    """
    return convolve(x, weight, bias, stride, padding, dilation, groups, 3)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 3, 4), s.normal(3, 2, 3), s.normal(2), stride=2, padding=1, output_padding=1),
        case(s.normal(4, 3), s.normal(4, 1, 2), groups=2, dilation=2),
    ],
)
def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution in 1-d: the adjoint of `conv1d`, from its answers to its inputs, plus a bias.

    Args:
        x: shape ([n,] inputs, length) (`input`).
        weight: shape (inputs, outputs / groups, length).
        bias: shape (outputs,), or None.
        stride, padding, dilation: those of the convolution; whole numbers, for all axes or one each.
        output_padding: how much longer the answer is, behind.
        groups: how many groups of channels go separately.

    >>> import hograd as ho
    >>> ho.conv_transpose1d(ho.ones(1, 3, 3), ho.ones(3, 2, 2)).shape
    (1, 2, 4)
    """
    return transposed(x, weight, bias, stride, padding, output_padding, groups, dilation, 1)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 2, 2, 3), s.normal(2, 3, 2, 2), s.normal(3)),
        case(s.normal(1, 4, 2, 2), s.normal(4, 1, 3, 2), None, (2, 1), (1, 0), (1, 0), 2),
    ],
)
def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution in 2-d: the adjoint of `conv2d`, from its answers to its inputs, plus a bias.

    Args:
        x: shape ([n,] inputs, height, width) (`input`).
        weight: shape (inputs, outputs / groups, height, width).
        bias: shape (outputs,), or None.
        stride, padding, dilation: those of the convolution; whole numbers, for all axes or one each.
        output_padding: how much longer the answer is, behind.
        groups: how many groups of channels go separately.

    >>> import hograd as ho
    >>> ho.conv_transpose2d(ho.ones(1, 3, 3, 3), ho.ones(3, 2, 2, 2)).shape
    (1, 2, 4, 4)
    """
    return transposed(x, weight, bias, stride, padding, output_padding, groups, dilation, 2)


@operation(
    None,
    lambda s: [
        case(s.normal(1, 2, 2, 1, 2), s.normal(2, 1, 2, 2, 2), s.normal(1), padding=(1, 0, 0), stride=(2, 1, 1)),
    ],
)
def conv_transpose3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution in 3-d: the adjoint of `conv3d`, from its answers to its inputs, plus a bias.

    Args:
        x: shape ([n,] inputs, depth, height, width) (`input`).
        weight: shape (inputs, outputs / groups, depth, height, width).
        bias: shape (outputs,), or None.
        stride, padding, dilation: those of the convolution; whole numbers, for all axes or one each.
        output_padding: how much longer the answer is, behind.
        groups: how many groups of channels go separately.

    >>> import hograd as ho
    >>> ho.conv_transpose3d(ho.ones(1, 3, 3, 3, 3), ho.ones(3, 2, 2, 2, 2)).shape
    (1, 2, 4, 4, 4)
    """
    return transposed(x, weight, bias, stride, padding, output_padding, groups, dilation, 3)
