"""Images, written down once more pixel by pixel."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np


def _pixel_shuffle(x: Any, r: int) -> Any:
    *lead, channels, height, width = x.shape
    y = np.zeros((*lead, channels // r**2, height * r, width * r))
    for c, i, j in np.ndindex(*y.shape[-3:]):
        y[..., c, i, j] = x[..., c * r * r + i % r * r + j % r, i // r, j // r]
    return y


def _pixel_unshuffle(x: Any, r: int) -> Any:
    *lead, channels, height, width = x.shape
    y = np.zeros((*lead, channels * r * r, height // r, width // r))
    for c, i, j in np.ndindex(*x.shape[-3:]):
        y[..., c * r * r + i % r * r + j % r, i // r, j // r] = x[..., c, i, j]
    return y


def _channel_shuffle(x: Any, groups: int) -> Any:
    each = x.shape[1] // groups
    return x[:, [g * each + i for i in range(each) for g in range(groups)]]


def _local_response_norm(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    means = np.stack(
        [(x[:, max(c - size // 2, 0) : c + (size - 1) // 2 + 1] ** 2).sum(1) / size for c in range(x.shape[1])], 1
    )
    return x / (k + alpha * means) ** beta


def _affine_grid(theta: Any, size: Any, align_corners: bool = False) -> Any:
    lengths = size[2:]
    grid = np.zeros((size[0], *lengths, len(lengths)))
    for place in np.ndindex(*lengths):
        point = [
            0.0 if n == 1 else 2 * i / (n - 1) - 1 if align_corners else (2 * i + 1) / n - 1
            for i, n in zip(place, lengths, strict=True)
        ]
        grid[(slice(None), *place)] = theta @ np.array([*reversed(point), 1.0])
    return grid


def _within(p: float, n: int, padding: str, align_corners: bool) -> float:
    low, high = (0.0, n - 1.0) if align_corners else (-0.5, n - 0.5)
    while padding == "reflection" and low < high and not low <= p <= high:
        p = 2 * low - p if p < low else 2 * high - p
    return p if padding == "zeros" else min(max(p, 0.0), n - 1.0)


def _hat(d: float) -> float:
    return max(0.0, 1 - d)


def _keys(d: float) -> float:
    return 1.25 * d**3 - 2.25 * d**2 + 1 if d <= 1 else -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)


def _grid_sample(
    x: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> Any:
    lengths = x.shape[2:]
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for n, *place in np.ndindex(grid.shape[0], *grid.shape[1:-1]):
        axes = []
        for g, length in zip(reversed(grid[(n, *place)]), lengths, strict=True):
            p = (g + 1) / 2 * (length - 1) if align_corners else ((g + 1) * length - 1) / 2
            if mode != "bicubic":
                p = _within(p, length, padding_mode, align_corners)
            pixels = [round(p)] if mode == "nearest" else range(math.floor(p) - 1, math.floor(p) + 3)
            kernel = {"nearest": lambda d: 1.0, "bilinear": _hat, "bicubic": _keys}[mode]
            axes.append([(round(_within(k, length, padding_mode, align_corners)), kernel(abs(p - k))) for k in pixels])
        for taps in itertools.product(*axes):
            if all(0 <= k < length for (k, _), length in zip(taps, lengths, strict=True)):
                y[(n, slice(None), *place)] += (
                    math.prod(w for _, w in taps) * x[(n, slice(None), *[k for k, _ in taps])]
                )
    return y


IMAGES: dict[str, Any] = {
    "affine_grid": _affine_grid,
    "channel_shuffle": _channel_shuffle,
    "grid_sample": _grid_sample,
    "local_response_norm": _local_response_norm,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
}
