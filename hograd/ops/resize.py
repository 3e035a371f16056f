"""Resampling: `interpolate`, along one axis after another; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import beside, tensor_of
from hograd.ops.pool_adaptive import adaptive_means

__all__ = ["interpolate"]

#: How many axes are resampled in each mode; the others take one to three.
_RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}

Taps = list[tuple[np.ndarray, np.ndarray | None]]
"""Places along an axis, and the weights of what lies there, which are added up; no weights are ones."""


def _nearest(n: int, count: int, scale: float | None, align: bool) -> Taps:
    steps = np.arange(count)
    places = steps * n // count if scale is None else np.floor(steps * scale).astype(np.int64)
    return [(np.minimum(places, n - 1), None)]


def _nearest_exact(n: int, count: int, scale: float | None, align: bool) -> Taps:
    places = np.floor((np.arange(count) + 0.5) * (n / count if scale is None else scale)).astype(np.int64)
    return [(np.minimum(places, n - 1), None)]


def _sources(n: int, count: int, scale: float | None, align: bool) -> np.ndarray:
    """Where along an axis of n elements each of the new ones lies."""
    steps = np.arange(count, dtype=np.float64)
    if align:
        return steps * ((n - 1) / (count - 1) if count > 1 else 0.0)
    return (steps + 0.5) * (n / count if scale is None else scale) - 0.5


def _linear(n: int, count: int, scale: float | None, align: bool) -> Taps:
    source = np.clip(_sources(n, count, scale, align), 0, n - 1)
    low = np.floor(source).astype(np.int64)
    share = source - low
    return [(low, 1 - share), (np.minimum(low + 1, n - 1), share)]


def _cubic(n: int, count: int, scale: float | None, align: bool) -> Taps:
    source = _sources(n, count, scale, align)
    low = np.floor(source).astype(np.int64)
    taps: Taps = []
    for k in range(-1, 3):
        d = np.abs(source - low - k)
        # Keys' kernel, a = -3/4.
        near = (1.25 * d - 2.25) * d * d + 1
        far = ((-0.75 * d + 3.75) * d - 6) * d + 3
        taps.append((np.clip(low + k, 0, n - 1), np.where(d <= 1, near, far)))
    return taps


_TAPS: dict[str, Callable[[int, int, float | None, bool], Taps]] = {
    "nearest": _nearest,
    "nearest-exact": _nearest_exact,
    "linear": _linear,
    "bilinear": _linear,
    "trilinear": _linear,
    "bicubic": _cubic,
}


def _resampled(x: Tensor, axis: int, taps: Taps) -> Tensor:
    total: Any = None
    for places, weights in taps:
        term = ops.index_select(x, axis, beside(x, Tensor(places)))
        if weights is not None:
            column = weights.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))
            term = term * beside(x, Tensor(column))
        total = term if total is None else total + term
    return total


def _per_axis(value: Any, rank: int, name: str) -> list[Any]:
    values = list(value) if isinstance(value, Sequence) else [value] * rank
    if len(values) != rank:
        raise ArgumentError(f"interpolate: {name} is {value!r}, expected a number, or {rank} of them.")
    if name == "size" and not all(isinstance(v, (int, np.integer)) and v > 0 for v in values):
        raise ArgumentError(f"interpolate: size is {value!r}, expected whole numbers above 0.")
    if name == "scale_factor" and not all(v > 0 for v in values):
        raise ArgumentError(f"interpolate: scale_factor is {value!r}, expected numbers above 0.")
    return values


@operation(
    None,
    lambda s: [
        case(s.normal(2, 3, 5), 8),
        case(s.normal(1, 2, 4, 3), (2, 7)),
        case(s.normal(2, 2, 5), scale_factor=1.7, mode="nearest-exact"),
        case(s.normal(2, 2, 5), 7, mode="linear"),
        case(s.normal(1, 2, 4, 3), (3, 5), mode="bilinear", align_corners=True),
        case(s.normal(1, 2, 4, 3), scale_factor=(0.6, 2.5), mode="bilinear"),
        case(s.normal(1, 1, 3, 2, 2), (2, 3, 4), mode="trilinear"),
        case(s.normal(1, 2, 4, 3), (6, 2), mode="bicubic"),
        case(s.normal(1, 2, 5, 4), (3, 2), mode="area"),
    ],
)
def interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resampling of the axes behind the channels to other lengths.

    With the scale s = old / new length, the new element i lies at  s (i + 1/2) - 1/2  of the old ones:
    "linear" (1-d), "bilinear" (2-d) and "trilinear" (3-d) weigh the two on either side, "bicubic" (2-d) four by the
    kernel of Keys (1981) with a = -3/4. "nearest" takes the element  floor(s i),  "nearest-exact"  floor(s (i + 1/2)),
    and "area" the mean of what a new element covers, as `adaptive_avg_pool2d`. Beyond the ends lie repeats of them.

    Args:
        x: shape (n, channels, length), (n, channels, height, width) or (n, channels, depth, height, width) (`input`).
        size: the new lengths, a number or one for each axis.
        scale_factor: new / old length instead, likewise; the new length is rounded down, and s is 1 / scale_factor.
        mode: see above.
        align_corners: the first and last elements lie on each other:  s = (old - 1) / (new - 1)  and  s i.
        recompute_scale_factor: take s from the lengths even where scale_factor is given.
        antialias: only False.

    Returns:
        Shape (n, channels, *the new lengths).

    Raises:
        ShapeError: x does not have the axes that the mode resamples, or one of them is empty.
        ArgumentError: the new lengths are given twice or not at all, or are not above 0.

    >>> import hograd as ho
    >>> ho.interpolate(ho.tensor([[[0.0, 4.0]]]), 4, mode="linear")
    tensor([[[0., 1., 3., 4.]]])
    """
    x = tensor_of(x, "interpolate")
    rank = x.ndim - 2
    if (mode not in _TAPS and mode != "area") or not 1 <= rank <= 3 or _RANKS.get(mode, rank) != rank:
        raise ShapeError(
            f"interpolate: x has shape {tuple(x.shape)} and mode is {mode!r}, expected (n, channels, ...) with "
            "'linear' of 1, 'bilinear' or 'bicubic' of 2, 'trilinear' of 3 more axes, or "
            "'nearest', 'nearest-exact' or 'area'."
        )
    if align_corners is not None and mode not in _RANKS:
        raise ArgumentError(
            f"interpolate: align_corners option can only be set with the interpolating modes, 'linear', 'bilinear', "
            f"'bicubic' and 'trilinear', and mode is {mode!r}."
        )
    if antialias:
        raise ArgumentError("interpolate: antialias=True is not available; average first, as with avg_pool2d.")
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: only one of size or scale_factor should be defined.")
    old = tuple(x.shape[2:])
    if min(old) < 1:
        raise ShapeError(f"interpolate: x has shape {tuple(x.shape)}, expected lengths above 0.")
    scales: list[float | None] = [None] * rank
    if size is not None:
        if recompute_scale_factor:
            raise ArgumentError("interpolate: recompute_scale_factor is not meaningful with an explicit size.")
        lengths = _per_axis(size, rank, "size")
    else:
        factors = _per_axis(scale_factor, rank, "scale_factor")
        lengths = [math.floor(n * float(f)) for n, f in zip(old, factors, strict=True)]
        if min(lengths) < 1:
            raise ArgumentError(f"interpolate: scale_factor {scale_factor!r} leaves nothing of the lengths {old}.")
        if not recompute_scale_factor:
            scales = [1 / float(f) for f in factors]
    if mode == "area":
        return adaptive_means(x, tuple(lengths), rank, "interpolate")
    for axis, (n, count, scale) in enumerate(zip(old, lengths, scales, strict=True), 2):
        if n != count or scale not in (None, 1.0):
            x = _resampled(x, axis, _TAPS[mode](n, count, scale, bool(align_corners)))
    return x
