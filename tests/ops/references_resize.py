"""Resampling and windows as columns, written down once more element by element."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np


def _matrix(n: int, count: int, scale: float, mode: str, align: bool) -> Any:
    """What each new element takes of each old one."""
    rows = np.zeros((count, n))
    for i in range(count):
        if mode == "area":
            covered = range(math.floor(i * n / count), math.ceil((i + 1) * n / count))
            rows[i, list(covered)] = 1 / len(covered)
        elif mode.startswith("nearest"):
            rows[i, min(math.floor(scale * (i + (0.5 if mode.endswith("exact") else 0))), n - 1)] = 1
        else:
            at = i * (n - 1) / max(count - 1, 1) if align else scale * (i + 0.5) - 0.5
            if mode != "bicubic":
                at = max(at, 0)
            for place in range(math.floor(at) - 1, math.floor(at) + 3):
                d = abs(at - place)
                if mode != "bicubic":
                    share = max(0.0, 1 - d)
                elif d <= 1:
                    share = 1.25 * d**3 - 2.25 * d**2 + 1
                else:
                    share = -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
                rows[i, min(max(place, 0), n - 1)] += share
    return rows


def _interpolate(x: Any, size: Any = None, scale_factor: Any = None, mode="nearest", align_corners=False) -> Any:
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        if size is None:
            factor = float(np.broadcast_to(scale_factor, x.ndim - 2)[axis - 2])
            count, scale = math.floor(n * factor), 1 / factor
        else:
            count = int(np.broadcast_to(size, x.ndim - 2)[axis - 2])
            scale = n / count
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ _matrix(n, count, scale, mode, align_corners).T, -1, axis)
    return x


def _columns(size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """For each element of a window and each window, its row and column in the padded image."""
    kernel, dilation, padding, stride = (np.broadcast_to(v, 2) for v in (kernel, dilation, padding, stride))
    extents = np.add(size, 2 * padding)
    count = (extents - dilation * (kernel - 1) - 1) // stride + 1
    inside = itertools.product(range(kernel[0]), range(kernel[1]))
    windows = list(itertools.product(range(count[0]), range(count[1])))
    return padding, [[(np.array(w) * stride + np.array(k) * dilation) for w in windows] for k in inside]


def _im2col(x: Any, kernel: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    padding, places = _columns(x.shape[-2:], kernel, dilation, padding, stride)
    x = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(p, p) for p in padding])
    columns = np.stack([np.stack([x[..., i, j] for i, j in row], -1) for row in places], -2)
    return columns.reshape(*x.shape[:-3], -1, columns.shape[-1])


def _col2im(x: Any, output_size: Any, kernel: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    padding, places = _columns(output_size, kernel, dilation, padding, stride)
    x = x.reshape(*x.shape[:-2], -1, len(places), x.shape[-1])
    y = np.zeros((*x.shape[:-2], *np.add(output_size, 2 * padding)))
    for k, row in enumerate(places):
        for window, (i, j) in enumerate(row):
            y[..., i, j] += x[..., k, window]
    return y[..., padding[0] : y.shape[-2] - padding[0], padding[1] : y.shape[-1] - padding[1]]


RESIZE: dict[str, Any] = {"interpolate": _interpolate, "im2col": _im2col, "col2im": _col2im}
