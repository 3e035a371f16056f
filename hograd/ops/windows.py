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

from hograd.core import fast
from hograd.core.batching import in_front, with_shape
from hograd.core.declare import general, multilinear
from hograd.core.dispatch import apply, bare, wrap
from hograd.core.primitive import ops, register
from hograd.ops.reduce import ones


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
    """All windows as columns: shape (n, groups, channels of a group * elements of a window, windows)."""
    n, channels, groups = *x.shape[:2], geometry.groups
    elements, windows = math.prod(geometry.kernel), math.prod(geometry.count)
    source = padded(x, geometry)
    columns = np.empty_like(x, shape=(n, channels, elements, *geometry.count))
    for k, (_, slices) in enumerate(places(geometry)):
        columns[:, :, k] = source[(..., *slices)]
    return columns.reshape(n, groups, channels // groups * elements, windows)


def _answers(y: Any, geometry: Geometry) -> Any:
    """Answers as rows: shape (n, groups, channels of a group, windows)."""
    n, channels = y.shape[:2]
    return y.reshape(n, geometry.groups, channels // geometry.groups, math.prod(geometry.count))


def _rows(weight: Any, geometry: Geometry) -> Any:
    """A weight as matrices: shape (groups, channels of a group, elements of a window in all of its inputs)."""
    groups, channels = geometry.groups, weight.shape[0]
    return weight.reshape(groups, channels // groups, math.prod(weight.shape[1:]))


def _forward_kernel(a: Any, b: Any, geometry: Geometry) -> Any:
    y = np.matmul(_rows(b, geometry), _columns(a, geometry))
    return y.reshape(a.shape[0], b.shape[0], *geometry.count)


def _weight_kernel(a: Any, b: Any, geometry: Geometry) -> Any:
    weight = np.add.reduce(np.matmul(_answers(b, geometry), _columns(a, geometry).swapaxes(2, 3)), axis=0)
    return weight.reshape(b.shape[1], a.shape[1] // geometry.groups, *geometry.kernel)


def _turned(geometry: Geometry) -> Geometry:
    """Where the windows lie in the answers, when the input is the convolution of them by the turned kernel."""
    size, kernel, count, _, padding, dilation, _ = geometry
    pads = []
    for n, k, c, (low, _), d in zip(size, kernel, count, padding, dilation, strict=True):
        pads.append((d * (k - 1) - low, max(n + low - c, 0)))
    return geometry._replace(size=count, count=size, padding=tuple(pads))


def _input_kernel(a: Any, b: Any, geometry: Geometry) -> Any:
    n, channels, inner, groups = a.shape[0], b.shape[0], b.shape[1], geometry.groups
    if channels <= inner * groups and all(step == 1 for step in geometry.stride):
        turned = _turned(geometry)
        if min(low for low, _ in turned.padding) >= 0:
            # Windows of the answers, gathered, cost less than as many of the input, scattered.
            weight = np.flip(b.reshape(groups, channels // groups, *b.shape[1:]), tuple(range(3, b.ndim + 1)))
            weight = weight.swapaxes(1, 2).reshape(groups * inner, channels // groups, *geometry.kernel)
            return _forward_kernel(a, weight, turned)
    columns = np.matmul(_rows(b, geometry).swapaxes(1, 2), _answers(a, geometry))
    columns = columns.reshape(n, groups * inner, math.prod(geometry.kernel), *geometry.count)
    total = np.zeros_like(a, shape=(n, groups * inner, *_extents(geometry)))
    for k, (_, slices) in enumerate(places(geometry)):
        total[(..., *slices)] += columns[:, :, k]
    return total[(..., *_inside(geometry))]


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


def _biased_kernel(x: Any, weight: Any, bias: Any, geometry: Geometry) -> Any:
    y = _forward_kernel(x, weight, geometry)
    y += bias.reshape(-1, *(1,) * len(geometry.count))
    return y


def _pull_bias(F: Any, g: Any) -> Any:
    return F.sum(g, (0, *range(2, g.ndim)))


def _pull_bias_fused(F: Any, g: Any) -> Any:
    # Channel by channel a product with ones, which reads the memory in order.
    windows = math.prod(g.shape[2:])
    if type(g) is not np.ndarray or not g.flags.c_contiguous or windows > 4096:
        return _pull_bias(F, g)
    return np.add.reduce(g.reshape(*g.shape[:2], windows) @ ones(windows, g.dtype), axis=0)


def _push_biased(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    (tx, tweight, tbias), (x, weight) = tangents, values[1:3]
    geometry = params["geometry"]
    tangent = None if tbias is None else F.reshape(tbias, (-1, *(1,) * len(geometry.count)))
    for a, b in ((tx, weight), (x, tweight)):
        if a is not None and b is not None:
            term = F.conv_forward(a, b, geometry)
            tangent = term if tangent is None else term + tangent
    return tangent


def _batch_biased(primitive: Any, size: int, values: Any, batched: Any, params: Any) -> Any:
    x, weight, bias = values
    if batched[0] and size and not any(batched[1:]):
        y = apply(primitive, (with_shape(x, (size * x.shape[1], *x.shape[2:])), weight, bias), params)
        return with_shape(y, (size, x.shape[1], *y.shape[1:]))
    mapped = any(batched[:2])
    y = _batch(_forward, size, (x, weight), batched[:2], params) if mapped else apply(_forward, (x, weight), params)
    ones_behind = (1,) * len(params["geometry"].count)
    lead = (size, 1) if batched[2] else ()
    return bare(wrap(y) + wrap(with_shape(bias, (*lead, bias.shape[-1], *ones_behind))))


#: Input, weight and bias to answer as one node; its rules stay among those above.
conv_biased = fast.several(
    general(
        "conv_biased",
        _biased_kernel,
        [
            lambda F, g, weight, geometry: F.conv_input(g, weight, geometry),
            lambda F, g, x, geometry: F.conv_weight(x, g, geometry),
            _pull_bias,
        ],
        jvp=_push_biased,
        batch=_batch_biased,
        arguments="x weight bias",
        fused=[None, None, _pull_bias_fused],
    )
)
