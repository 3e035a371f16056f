"""Pooling, written down once more window by window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def _each_window(x, kernel, stride, padding, dilation, ceil_mode, rank, of) -> Any:
    kernel, stride, padding, dilation = (np.broadcast_to(v, rank) for v in (kernel, stride, padding, dilation))
    size = x.shape[x.ndim - rank :]
    ranges = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        full = [i for i in range(-p, n + p, s) if i + d * (k - 1) < n + p]
        last = full[-1] + s
        starts = [*full, last] if ceil_mode and last < n and full[-1] + d * (k - 1) < n + p - 1 else full
        ranges.append([[(i + d * j) for j in range(k) if i + d * j < n + p] for i in starts])
    y = np.zeros((*x.shape[: x.ndim - rank], *map(len, ranges)))
    for place in np.ndindex(*map(len, ranges)):
        windows = [r[i] for r, i in zip(ranges, place, strict=True)]
        held = [[i for i in w if 0 <= i < n] for w, n in zip(windows, size, strict=True)]
        part = x[(..., *np.ix_(*held))].reshape(*x.shape[: x.ndim - rank], -1)
        y[(..., *place)] = of(part, int(np.prod([len(w) for w in windows])))
    return y


def _max_pool(rank: int) -> Any:
    def function(x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False) -> Any:
        stride = kernel if stride is None else stride
        return _each_window(x, kernel, stride, padding, dilation, ceil_mode, rank, lambda part, _: part.max(-1))

    return function


def _avg_pool(rank: int) -> Any:
    def function(
        x, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
    ) -> Any:
        def mean(part: Any, count: int) -> Any:
            return part.sum(-1) / (divisor_override or (count if count_include_pad else part.shape[-1]))

        return _each_window(x, kernel, kernel if stride is None else stride, padding, 1, ceil_mode, rank, mean)

    return function


def _adaptive(rank: int, of: Any = np.mean) -> Any:
    def function(x, output_size) -> Any:
        for axis, count in enumerate(np.broadcast_to(output_size, rank), x.ndim - rank):
            n = x.shape[axis]
            spans = [range(math.floor(i * n / count), math.ceil((i + 1) * n / count)) for i in range(count)]
            x = np.stack([of(np.take(x, span, axis), axis) for span in spans], axis)
        return x

    return function


def _max_unpool(rank: int) -> Any:
    def function(x, indices, kernel, stride=None, padding=0, output_size=None) -> Any:
        kernel, padding = np.broadcast_to(kernel, rank), np.broadcast_to(padding, rank)
        stride = kernel if stride is None else np.broadcast_to(stride, rank)
        lead = x.shape[: x.ndim - rank]
        lengths = (np.array(x.shape[len(lead) :]) - 1) * stride - 2 * padding + kernel
        lengths = lengths if output_size is None else np.broadcast_to(output_size, rank)
        y = np.zeros((*lead, int(np.prod(lengths))))
        for place in np.ndindex(*x.shape):
            y[(*place[: len(lead)], indices[place])] = x[place]
        return y.reshape(*lead, *lengths)

    return function


POOLS: dict[str, Any] = {
    f"{name}{rank}d": function(rank)
    for rank in (1, 2, 3)
    for name, function in {
        "max_pool": _max_pool,
        "avg_pool": _avg_pool,
        "adaptive_avg_pool": _adaptive,
        "max_unpool": _max_unpool,
        "adaptive_max_pool": lambda rank: _adaptive(rank, np.max),
    }.items()
}
