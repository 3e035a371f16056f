"""Windows of tensors, and convolution in any number of dimensions as primitives.

A convolution is one form that is linear in each of three tensors: input, weight and cotangent. Its three partial
derivatives are three primitives, `conv_forward`, `conv_input` (the transposed convolution) and `conv_weight`, and the
adjoints of each are the two others: so every order stays among them.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from hograd.core.batching import in_front, with_shape
from hograd.core.declare import multilinear
from hograd.core.dispatch import apply, bare, wrap
from hograd.core.primitive import ops, register


class Geometry(NamedTuple):
    """How windows lie in the input, one entry an axis.

    Attributes:
        size, kernel, count: lengths of the input, of a window, and how many windows there are.
        stride, dilation: steps between windows, and within one.
        padding: zeros in front and behind.
        groups: how many groups of channels go separately.
    """

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    count: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int


def padded(x: Any, geometry: Geometry, fill: float = 0) -> Any:
    """An array of shape (..., *size) with what its windows see around it: `fill` in front and behind."""
    lead = x.ndim - len(geometry.size)
    extents = _extents(geometry)
    if tuple(x.shape[lead:]) == extents:
        return x
    larger = np.full_like(x, fill, shape=(*x.shape[:lead], *extents))
    larger[(..., *_inside(geometry))] = x
    return larger


def _extents(geometry: Geometry) -> tuple[int, ...]:
    # The last window must end within the padded input, which a transposed convolution may leave longer.
    size, kernel, count, stride, padding, dilation, _ = geometry
    return tuple(
        max(low + n + high, (c - 1) * s + (k - 1) * d + 1)
        for n, k, c, s, (low, high), d in zip(size, kernel, count, stride, padding, dilation, strict=True)
    )


def _inside(geometry: Geometry) -> tuple[slice, ...]:
    return tuple(slice(low, low + n) for n, (low, _) in zip(geometry.size, geometry.padding, strict=True))


def places(geometry: Geometry) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """For each element of a window, where it is and which elements of the padded input it is in all windows."""
    _, kernel, count, stride, _, dilation, _ = geometry
    return [
        (
            place,
            tuple(
                slice(p * d, p * d + (c - 1) * s + 1, s)
                for p, d, c, s in zip(place, dilation, count, stride, strict=True)
            ),
        )
        for place in itertools.product(*map(range, kernel))
    ]


def _columns(x: Any, geometry: Geometry) -> Any:
    """All windows as columns: shape (groups, channels of a group * elements of a window, n * windows)."""
    n, channels = x.shape[:2]
    groups = geometry.groups
    inner = channels // groups
    source = padded(x, geometry).reshape(n, groups, inner, *_extents(geometry))
    source = source.transpose(1, 2, 0, *range(3, source.ndim))
    columns = np.empty_like(x, shape=(groups, inner, *geometry.kernel, n, *geometry.count))
    for place, slices in places(geometry):
        columns[(slice(None), slice(None), *place)] = source[(..., *slices)]
    return columns.reshape(groups, inner * math.prod(geometry.kernel), n * math.prod(geometry.count))


def _answers(y: Any, geometry: Geometry) -> Any:
    """Answers as rows: shape (groups, channels of a group, n * windows)."""
    n, channels = y.shape[:2]
    groups, windows = geometry.groups, math.prod(geometry.count)
    grouped = y.reshape(n, groups, channels // groups, windows)
    return grouped.transpose(1, 2, 0, 3).reshape(groups, channels // groups, n * windows)


def _forward_kernel(a: Any, b: Any, geometry: Geometry) -> Any:
    n, channels, groups = a.shape[0], b.shape[0], geometry.groups
    weight = b.reshape(groups, channels // groups, math.prod(b.shape[1:]))
    y = np.matmul(weight, _columns(a, geometry))
    y = y.reshape(groups, channels // groups, n, math.prod(geometry.count)).transpose(2, 0, 1, 3)
    return y.reshape(n, channels, *geometry.count)


def _weight_kernel(a: Any, b: Any, geometry: Geometry) -> Any:
    weight = np.matmul(_answers(b, geometry), _columns(a, geometry).swapaxes(1, 2))
    return weight.reshape(b.shape[1], a.shape[1] // geometry.groups, *geometry.kernel)


def _input_kernel(a: Any, b: Any, geometry: Geometry) -> Any:
    n, channels, inner, groups = a.shape[0], b.shape[0], b.shape[1], geometry.groups
    weight = b.reshape(groups, channels // groups, math.prod(b.shape[1:]))
    columns = np.matmul(weight.swapaxes(1, 2), _answers(a, geometry))
    columns = columns.reshape(groups, inner, *geometry.kernel, n, *geometry.count)
    total = np.zeros_like(a, shape=(groups, inner, n, *_extents(geometry)))
    for place, slices in places(geometry):
        total[(..., *slices)] += columns[(slice(None), slice(None), *place)]
    total = total[(..., *_inside(geometry))]
    total = total.transpose(2, 0, 1, *range(3, total.ndim))
    return total.reshape(n, groups * inner, *geometry.size)


def _batch(primitive: Any, size: int, values: Any, batched: Any, params: dict[str, Any]) -> Any:
    """Mapped examples are more examples; anything else mapped is more groups."""
    geometry = params["geometry"]
    a, b = values
    if not size:
        # One answer of zeros has the shape that each of the none would have.
        one = apply(primitive, [_none_as_one(v) if m else v for v, m in zip(values, batched, strict=True)], params)
        return bare(ops.getitem(ops.expand_dims(wrap(one), 0), slice(0, 0)))
    if primitive.name != "conv_weight" and not batched[1]:
        merged = with_shape(a, (size * a.shape[1], *a.shape[2:]))
        y = apply(primitive, (merged, b), params)
        return with_shape(y, (size, a.shape[1], *y.shape[1:]))
    a, b = (in_front(v, m, size) for v, m in zip(values, batched, strict=True))
    a = _into_channels(a)
    b = _into_channels(b) if primitive.name == "conv_weight" else with_shape(b, (size * b.shape[1], *b.shape[2:]))
    wide = geometry._replace(groups=geometry.groups * size)
    y = apply(primitive, (a, b), {"geometry": wide})
    if primitive.name == "conv_weight":
        return with_shape(y, (size, y.shape[0] // size, *y.shape[1:]))
    return bare(ops.moveaxis(wrap(with_shape(y, (y.shape[0], size, y.shape[1] // size, *y.shape[2:]))), 1, 0))


def _none_as_one(x: Any) -> Any:
    return bare(ops.sum(wrap(x), 0))


def _into_channels(x: Any) -> Any:
    """(size, n, channels, ...) as (n, size * channels, ...)."""
    moved = bare(ops.moveaxis(wrap(x), 0, 1))
    return with_shape(moved, (moved.shape[0], moved.shape[1] * moved.shape[2], *moved.shape[3:]))


#: Input and weight to answer.
_forward = multilinear(
    "conv_forward",
    _forward_kernel,
    (
        lambda F, g, b, geometry: F.conv_input(g, b, geometry),
        lambda F, g, a, geometry: F.conv_weight(a, g, geometry),
    ),
    batch=_batch,
)
#: Answer and weight to input: the transposed convolution.
_input = multilinear(
    "conv_input",
    _input_kernel,
    (
        lambda F, g, b, geometry: F.conv_forward(g, b, geometry),
        lambda F, g, a, geometry: F.conv_weight(g, a, geometry),
    ),
    batch=_batch,
)
#: Input and answer to weight.
_weight = multilinear(
    "conv_weight",
    _weight_kernel,
    (
        lambda F, g, b, geometry: F.conv_input(b, g, geometry),
        lambda F, g, a, geometry: F.conv_forward(a, g, geometry),
    ),
    batch=_batch,
)


def _with_geometry(primitive: Any) -> Any:
    return lambda a, b, geometry: wrap(apply(primitive, (a, b), {"geometry": geometry}))


for _primitive in (_forward, _input, _weight):
    register(_primitive.name, _with_geometry(_primitive), _primitive.kernel)
