"""Images: channels as pixels, sampling at any points, and normalisation by neighbouring channels; as in PyTorch."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.dispatch import wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import beside, shape_of, tensor_of

__all__ = [
    "affine_grid",
    "channel_shuffle",
    "grid_sample",
    "local_response_norm",
    "pixel_shuffle",
    "pixel_unshuffle",
]


def _positive(value: Any, name: str, what: str) -> int:
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ArgumentError(f"{name}: {what} is {value!r}, expected a whole number above 0.")
    return int(value)


@operation(None, lambda s: [case(s.normal(2, 8, 2, 3), 2), case(s.normal(9, 1, 2), 3)])
def pixel_shuffle(x: Any, upscale_factor: int) -> Tensor:
    """Channels as pixels:  y[c, h r + i, w r + j] = x[c r**2 + i r + j, h, w]  (Shi et al., 2016).

    Args:
        x: shape (..., channels r**2, height, width) (`input`).
        upscale_factor: r.

    Returns:
        Shape (..., channels, height r, width r).

    >>> import hograd as ho
    >>> ho.pixel_shuffle(ho.tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    x, r = tensor_of(x, "pixel_shuffle"), _positive(upscale_factor, "pixel_shuffle", "upscale_factor")
    if x.ndim < 3 or x.shape[-3] % (r * r):
        raise ShapeError(
            f"pixel_shuffle: x has shape {tuple(x.shape)}, expected (..., channels, height, width) with a multiple of "
            f"{r * r} channels."
        )
    *lead, channels, height, width = x.shape
    apart = ops.reshape(x, (*lead, channels // (r * r), r, r, height, width))
    n = len(lead)
    beside_each_other = ops.permute(apart, (*range(n + 1), n + 3, n + 1, n + 4, n + 2))
    return ops.reshape(beside_each_other, (*lead, channels // (r * r), height * r, width * r))


@operation(None, lambda s: [case(s.normal(2, 2, 4, 6), 2), case(s.normal(1, 3, 6), 3)])
def pixel_unshuffle(x: Any, downscale_factor: int) -> Tensor:
    """The inverse of `pixel_shuffle`: pixels as channels.

    Args:
        x: shape (..., channels, height r, width r) (`input`).
        downscale_factor: r.

    Returns:
        Shape (..., channels r**2, height, width).

    >>> import hograd as ho
    >>> ho.pixel_unshuffle(ho.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2).shape
    (4, 1, 1)
    """
    x, r = tensor_of(x, "pixel_unshuffle"), _positive(downscale_factor, "pixel_unshuffle", "downscale_factor")
    if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
        raise ShapeError(
            f"pixel_unshuffle: x has shape {tuple(x.shape)}, expected (..., channels, height, width) with multiples of "
            f"{r} for the last two."
        )
    *lead, channels, height, width = x.shape
    apart = ops.reshape(x, (*lead, channels, height // r, r, width // r, r))
    n = len(lead)
    behind = ops.permute(apart, (*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return ops.reshape(behind, (*lead, channels * r * r, height // r, width // r))


@operation(None, lambda s: [case(s.normal(2, 6, 2), 3), case(s.normal(1, 4, 2, 2), 2)])
def channel_shuffle(x: Any, groups: int) -> Tensor:
    """Channels in groups, dealt out: of all groups the first, then the second, and so on (Zhang et al., 2018).

    Args:
        x: shape (n, channels, ...) (`input`).
        groups: how many groups there are.

    >>> import hograd as ho
    >>> ho.channel_shuffle(ho.tensor([[[1.0], [2.0], [3.0], [4.0]]]), 2).flatten()
    tensor([1., 3., 2., 4.])
    """
    x, groups = tensor_of(x, "channel_shuffle"), _positive(groups, "channel_shuffle", "groups")
    if x.ndim < 3 or x.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle: x has shape {tuple(x.shape)}, expected (n, channels, ...) with a multiple of {groups} "
            "channels."
        )
    apart = ops.reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    return ops.reshape(ops.swapaxes(apart, 1, 2), x.shape)


@operation(None, lambda s: [case(s.normal(2, 5, 3), 3), case(s.normal(1, 4, 2, 2), 2, alpha=0.5, beta=0.6, k=2.0)])
def local_response_norm(x: Any, size: int, alpha: Any = 1e-4, beta: Any = 0.75, k: Any = 1.0) -> Tensor:
    """x / (k + alpha m)**beta,  m the mean of squares over `size` neighbouring channels (Krizhevsky et al., 2012).

    Args:
        x: shape (n, channels, ...) (`input`); beyond the first and the last channel lie zeros.
        size: how many channels count, from size // 2 before each.
        alpha, beta, k: numbers.

    >>> import hograd as ho
    >>> ho.local_response_norm(ho.tensor([[[2.0], [0.0]]]), 2, alpha=2.0, beta=1.0)
    tensor([[[0.4000],
             [0.0000]]])
    """
    x, size = tensor_of(x, "local_response_norm"), _positive(size, "local_response_norm", "size")
    if x.ndim < 3:
        raise ShapeError(f"local_response_norm: x has shape {tuple(x.shape)}, expected (n, channels, ...).")
    squares = ops.moveaxis(ops.square(x), 1, -1)
    padded = ops.pad(squares, (size // 2, (size - 1) // 2))
    means = ops.moveaxis(ops.mean(ops.unfold(padded, -1, size, 1), -1), -1, 1)
    return x / (means * alpha + k) ** beta


@operation(
    None,
    lambda s: [
        case(s.normal(2, 2, 3), (2, 1, 3, 4)),
        case(s.normal(1, 3, 4), (1, 1, 2, 3, 1), align_corners=True),
    ],
)
def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Tensor:
    """The points at which `grid_sample` reads an image moved by an affine map: theta @ (x, y, 1) of every pixel.

    Args:
        theta: shape (n, 2, 3), or (n, 3, 4) for volumes.
        size: shape of the images, (n, channels, height, width) or (n, channels, depth, height, width).
        align_corners: -1 and 1 are the centres of the outermost pixels, and not their outer edges.

    Returns:
        Shape (n, height, width, 2) or (n, depth, height, width, 3), with x before y before z.

    >>> import hograd as ho
    >>> ho.affine_grid(ho.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2))
    tensor([[[[0., 0.],
              [1., 0.]]]])
    """
    theta, size = tensor_of(theta, "affine_grid"), shape_of(size, "affine_grid")
    rank = len(size) - 2
    if rank not in (2, 3) or tuple(theta.shape) != (size[0], rank, rank + 1) or min(size) < 1:
        raise ShapeError(
            f"affine_grid: theta has shape {tuple(theta.shape)} and size is {size}, expected (n, 2, 3) and (n, "
            "channels, height, width), or (n, 3, 4) and (n, channels, depth, height, width), of lengths above 0."
        )
    steps = [np.zeros(1) if n == 1 else np.linspace(-1, 1, n) * (1 if align_corners else (n - 1) / n) for n in size[2:]]
    points = np.stack([*reversed(np.meshgrid(*steps, indexing="ij")), np.ones(size[2:])], -1).reshape(-1, rank + 1)
    moved = ops.matmul(beside(theta, wrap(points.astype(theta.dtype))), ops.mT(theta))
    return ops.reshape(moved, (size[0], *size[2:], rank))


def _reflected(p: Any, low: float, high: float) -> Any:
    """Positions thrown back at both ends, as often as it takes."""
    if low == high:
        return p * 0
    span = high - low
    away = ops.abs(p - low)
    rest = ops.fmod(away, span)
    forth = ops.eq(ops.remainder(ops.floor(ops.stop_gradient(away / span)), 2), 0)
    return ops.where(forth, rest, span - rest) + low


def _inside(p: Any, n: int, padding_mode: str, align_corners: bool) -> Any:
    """Positions along an axis of n pixels, with those beyond its ends brought back."""
    if padding_mode == "reflection":
        p = _reflected(p, 0.0, n - 1.0) if align_corners else _reflected(p, -0.5, n - 0.5)
    return p if padding_mode == "zeros" else ops.clip(p, 0, n - 1)


def _cubic(t: Any) -> list[Any]:
    """Weights of the pixels at -1, 0, 1 and 2 by the kernel of Keys, a = -3/4."""
    near = [(1.25 * d - 2.25) * d * d + 1 for d in (t, 1 - t)]
    far = [((-0.75 * d + 3.75) * d - 6) * d + 3 for d in (t + 1, 2 - t)]
    return [far[0], *near, far[1]]


def _taps(p: Any, n: int, mode: str, padding_mode: str, align_corners: bool) -> list[tuple[Any, Any]]:
    """Which pixels of an axis count at the positions p, and with what weights; None is 1."""
    if mode == "bicubic":
        low = ops.floor(ops.stop_gradient(p))
        taps = [(low + k, w) for k, w in zip(range(-1, 3), _cubic(p - low), strict=True)]
        taps = [(_inside(at, n, padding_mode, align_corners), w) for at, w in taps]
    else:
        p = _inside(p, n, padding_mode, align_corners)
        fixed = ops.stop_gradient(p)
        if mode == "nearest":
            taps = [(ops.round(fixed), None)]
        else:
            low = ops.floor(fixed)
            taps = [(low, 1 - (p - low)), (low + 1, p - low)]
    found = []
    for at, weight in taps:
        if padding_mode == "zeros":
            held = ops.astype(ops.logical_and(ops.ge(at, 0), ops.le(at, n - 1)), at.dtype)
            weight = held if weight is None else weight * held
        # Where a position is nan, so is the weight, or nothing counts; the place is any.
        found.append((ops.astype(ops.clip(ops.nan_to_num(at), 0, n - 1), np.int64), weight))
    return found


def _points(s: Any, *lengths: int, of: tuple[int, ...]) -> Any:
    """Points inside of pixels and out of the image, away from the kinks between."""
    pixels = s.positive(*lengths, len(of)) * 2
    pixels = np.floor(pixels) - 2 + 0.1 + 0.3 * (pixels % 1)
    return (2 * pixels + 1) / np.array(of) - 1


@operation(
    None,
    lambda s: [
        case(s.normal(2, 2, 3, 4), _points(s, 2, 2, 3, of=(4, 3))),
        case(s.normal(1, 2, 3, 2), _points(s, 1, 2, 2, of=(2, 3)), mode="nearest", padding_mode="border"),
        case(s.normal(1, 1, 3, 3), _points(s, 1, 2, 2, of=(3, 3)), padding_mode="reflection"),
        case(s.normal(1, 1, 4, 3), _points(s, 1, 1, 2, of=(3, 4)), mode="bicubic", padding_mode="border"),
        case(s.normal(1, 1, 2, 3, 2), _points(s, 1, 1, 2, 1, of=(2, 3, 2))),
    ],
)
def grid_sample(
    x: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """Images read at any points (Jaderberg et al., 2015); differentiable in the image and in the points.

    Args:
        x: shape (n, channels, height, width) or (n, channels, depth, height, width) (`input`).
        grid: points, x before y before z, shape (n, ..., 2) or (n, ..., 3) with two or three axes between; -1 is the
            left, upper or front edge of the image, 1 the other one.
        mode: "bilinear", "nearest", or of images also "bicubic".
        padding_mode: what lies outside: "zeros", "border" (the nearest pixel) or "reflection".
        align_corners: -1 and 1 are the centres of the outermost pixels, and not their outer edges.

    Returns:
        Shape (n, channels, ...).

    Between pixels and at the ends the derivative is that on one side; of "nearest" it is 0 in the points.

    >>> import hograd as ho
    >>> ho.grid_sample(ho.tensor([[[[1.0, 3.0]]]]), ho.tensor([[[[0.0, 0.0], [0.5, 0.0]]]]))
    tensor([[[[2., 3.]]]])
    """
    x, grid = tensor_of(x, "grid_sample"), tensor_of(grid, "grid_sample")
    rank = x.ndim - 2
    if rank not in (2, 3) or grid.ndim != x.ndim or grid.shape[-1] != rank or grid.shape[0] != x.shape[0]:
        raise ShapeError(
            f"grid_sample: x and grid have shapes {tuple(x.shape)} and {tuple(grid.shape)}, expected (n, channels, "
            "height, width) and (n, ..., ..., 2), or (n, channels, depth, height, width) and (n, ..., ..., ..., 3)."
        )
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and rank == 3):
        raise ArgumentError(f"grid_sample: mode is {mode!r}, expected 'bilinear', 'nearest' or of images 'bicubic'.")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(f"grid_sample: padding_mode is {padding_mode!r}, not 'zeros', 'border' or 'reflection'.")
    lengths = tuple(x.shape[2:])
    if min(lengths) < 1:
        raise ShapeError(f"grid_sample: x has shape {tuple(x.shape)}, expected lengths above 0.")
    n, channels = x.shape[:2]
    points = math.prod(grid.shape[1:-1])
    axes = []
    for i, length in enumerate(lengths):
        g = ops.reshape(grid[..., rank - 1 - i], (n, 1, points))
        p = (g + 1) / 2 * (length - 1) if align_corners else ((g + 1) * length - 1) / 2
        axes.append(_taps(p, length, mode, padding_mode, bool(align_corners)))
    flat = ops.reshape(x, (n, channels, math.prod(lengths)))
    image = beside(x, wrap(np.arange(n).reshape(n, 1, 1)))
    channel = beside(x, wrap(np.arange(channels).reshape(1, channels, 1)))
    total: Any = 0
    for taps in itertools.product(*axes):
        place: Any = 0
        for (at, _), length in zip(taps, lengths, strict=True):
            place = place * length + at
        term = ops.getitem(flat, (image, channel, place))
        for _, weight in taps:
            term = term if weight is None else term * weight
        total = total + term
    return ops.reshape(total, (n, channels, *grid.shape[1:-1]))
