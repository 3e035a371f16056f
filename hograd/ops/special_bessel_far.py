"""Bessel functions where SciPy's are not precise: of very small numbers, and of large ones.

SciPy's oscillating functions take their angle from a rounded difference, so that nothing is right from 1e16 on; the
modified ones are 0 from 700 on, where they are not yet, and nan for very large numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core.primitive import kernels
from hograd.core.restoring import silent
from hograd.ops.scipy import scipy_function

#: Below it the first term of the series at 0 is the function, to rounding.
_SMALL = 1e-9


def _first_term(name: str, x: Any, order: float) -> Any:
    return np.power(x / 2, order) / math.gamma(order + 1) * (np.exp(-x) if name == "ive" else 1)


def _hankel(x: Any, order: float) -> tuple[Any, Any]:
    """J(x) and Y(x) by the asymptotic series of Hankel, with the angles of x itself and of the phase apart."""
    p, q, term = np.ones_like(x), np.zeros_like(x), np.ones_like(x)
    over = 1 / (8 * x)
    for k in range(1, 31):
        term = term * over * ((4 * order * order - (2 * k - 1) ** 2) / k)
        if k % 2:
            q = q + (-1) ** (k // 2) * term
        else:
            p = p + (-1) ** (k // 2) * term
    quarters = order * 2 + 1
    # Of whole orders the phase is a multiple of pi / 4, whose sine and cosine are equal in size.
    c, s = math.cos(quarters % 8 * math.pi / 4), math.sin(quarters % 8 * math.pi / 4)
    cosine, sine = np.cos(x) * c + np.sin(x) * s, np.sin(x) * c - np.cos(x) * s
    size = math.sqrt(2 / math.pi) / np.sqrt(x)
    return size * (p * cosine - q * sine), size * (p * sine + q * cosine)


def _far(name: str, x: Any, order: float) -> Any:
    """For large x > 0."""
    if name in ("jv", "yv"):
        y = _hankel(x, order)[0 if name == "jv" else 1]
        return np.where(x == math.inf, 0.0, y)
    kind = kernels.ive_derivative if name in ("iv", "ive") else kernels.kve_derivative
    scaled, rate = kind(x, order=order, n=0), {"iv": 0.5, "kv": -0.5}.get(name)
    if rate is None:
        return scaled
    # In two factors, for e**x overflows before the product.
    half = np.exp(x * rate)
    return np.where(x == math.inf, half, scaled * half * half)


def _from(name: str, order: float) -> float:
    """Where large numbers begin."""
    return max({"jv": 25.0, "yv": 25.0, "ive": 30.0, "iv": 500.0, "kve": 1e6, "kv": 500.0}[name], 2 * order * order)


def _mended(name: str, scipy_kernel: Callable[[Any], Any], order: float, x: Any) -> Any:
    z = np.reshape(x.astype(np.float64), (-1,))
    # A copy, to be written to.
    y = np.reshape(scipy_kernel(x), (-1,)).astype(np.float64)
    even = order % 1 == 0
    size = np.abs(z) if even and name in ("jv", "iv", "ive") else z
    with silent():
        large = size > _from(name, order)
        if np.any(large):
            y[large] = _far(name, size[large], order)
        if name in ("jv", "iv", "ive") and (order >= 0 or order % 1):
            small = (size > 0) & (size < _SMALL)
            if np.any(small):
                y[small] = _first_term(name, size[small], order)
                large = large | small
        odd = size is not z and order % 2
        y = np.where(large & (z < 0), -y if odd else y, y)
        return scalarize(np.reshape(y, x.shape).astype(x.dtype))


def beyond_scipy(name: str) -> Callable[[float, Any], Any]:
    """`scipy.special.<name>(order, x)` as a kernel, mended where it is not precise."""
    function = scipy_function(name)
    return lambda order, x: _mended(name, lambda x: function(order, x), order, x)


def beyond_scipy_of(own: str, name: str, order: int) -> Callable[[Any], Any]:
    """`scipy.special.<own>(x)`, which is `name` of this order."""
    function = scipy_function(own)
    return lambda x: _mended(name, function, order, x)
