"""Integrals and slopes of samples, covariances, replaced parts and the like, by NumPy and SciPy or one by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy import integrate, linalg, special


def _gradient(x: Any, *, spacing: Any = 1, axis: Any = None, edge_order: int = 1) -> Any:
    axes = range(x.ndim) if axis is None else (axis if isinstance(axis, tuple) else (axis,))
    each = spacing if isinstance(spacing, tuple) else (spacing,) * len(axes)
    return [np.gradient(x, h, axis=a, edge_order=edge_order) for h, a in zip(each, axes, strict=True)]


def _trapezoid(y: Any, x: Any = None, *, dx: float | None = None, axis: int = -1) -> Any:
    return integrate.trapezoid(y, x, dx=1 if dx is None else dx, axis=axis)


def _cumulative(y: Any, x: Any = None, *, dx: float | None = None, axis: int = -1) -> Any:
    return integrate.cumulative_trapezoid(y, x, dx=1 if dx is None else dx, axis=axis)


def _cov(x: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    return np.cov(x, ddof=correction, fweights=fweights, aweights=aweights)


def _index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    out = x.copy()
    (np.add.at if accumulate else np.ndarray.__setitem__)(out, tuple(indices), values)
    return out


def _select_scatter(x: Any, src: Any, axis: int, index: int) -> Any:
    out = x.copy()
    np.moveaxis(out, axis, 0)[index] = src
    return out


def _slice_scatter(x: Any, src: Any, axis: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    out = x.copy()
    np.moveaxis(out, axis, 0)[start:end:step] = np.moveaxis(src, axis, 0)
    return out


def _diagonal_scatter(x: Any, src: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    out = x.copy()
    matrices = np.moveaxis(out, (axis1, axis2), (-2, -1))
    for k in range(src.shape[-1]):
        matrices[..., k - min(offset, 0), k + max(offset, 0)] = src[..., k]
    return out


def _take_along_dim(x: Any, indices: Any, axis: int | None = None) -> Any:
    return np.take_along_axis(x, indices, axis)


def _renorm(x: Any, p: float, axis: int, maxnorm: float) -> Any:
    out = x.copy()
    for part in np.moveaxis(out, axis, 0):
        length = (np.abs(part) ** p).sum() ** (1 / p)
        if length > maxnorm:
            part *= maxnorm / (length + 1e-7)
    return out


def _histc(x: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    return np.histogram(x, bins, (min, max))[0].astype(x.dtype)


def _nextafter(a: Any, b: Any) -> Any:
    # By the number's bits, which are in order as whole numbers of one sign.
    def of_one(a: float, b: float) -> float:
        if a == b:
            return b
        away = (b > a) == (a > 0)
        return (np.float64(a).view(np.int64) + (1 if away else -1)).view(np.float64)

    return np.vectorize(of_one, otypes=[float])(a, b)


def _gcd(a: Any, b: Any) -> Any:
    def of_one(a: int, b: int) -> int:
        return max((d for d in range(1, 99) if a % d == b % d == 0), default=0)

    return np.vectorize(of_one, otypes=[int])(a, b)


def _lcm(a: Any, b: Any) -> Any:
    def of_one(a: int, b: int) -> int:
        return next(m for m in itertools.count(abs(a)) if m % a == m % b == 0) if a else 0

    return np.vectorize(of_one, otypes=[int])(a, b)


def _isin(elements: Any, test_elements: Any, invert: bool = False) -> Any:
    return np.isin(elements, test_elements, invert=invert)


MORE: dict[str, Any] = {
    "adjoint": lambda x: np.conj(np.swapaxes(x, -1, -2)) if np.ndim(x) else np.conj(x),
    "bitwise_left_shift": lambda a, b: a * 2**b,
    "bitwise_right_shift": lambda a, b: np.floor_divide(a, 2**b),
    "block_diag": lambda *matrices: linalg.block_diag(*matrices),
    "clamp_max": lambda x, max: np.where(x > max, max, x),
    "clamp_min": lambda x, min: np.where(x < min, min, x),
    "corrcoef": np.corrcoef,
    "cov": _cov,
    "cumulative_trapezoid": _cumulative,
    "diagonal_scatter": _diagonal_scatter,
    "float_power": np.power,
    "gcd": _gcd,
    "gradient": _gradient,
    "histc": _histc,
    "index_put": _index_put,
    "isin": _isin,
    "isreal": np.isreal,
    "lcm": _lcm,
    "ldexp": lambda x, b: x * 2.0**b,
    "mvlgamma": special.multigammaln,
    "nextafter": _nextafter,
    "renorm": _renorm,
    "select_scatter": _select_scatter,
    "slice_scatter": _slice_scatter,
    "softmin": lambda x, axis=-1: special.softmax(-x, axis),
    "take_along_dim": _take_along_dim,
    "trapezoid": _trapezoid,
}
