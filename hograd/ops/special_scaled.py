"""Derivatives of any order of functions that are scaled by an exponential, without the cancellation of recurrences.

The textbook derivative of  e**(x**2) erfc(x),  2 x y - 2 / sqrt(pi),  is the difference of two numbers that agree in
all digits for large x, and each order more loses as much again; those of e**-x I(x) and e**x K(x) likewise. Here each
kernel computes the derivative of a given order from terms of one sign, in float64 for all dtypes:

- of erfcx by the continued fraction of the ratios of neighbouring orders, for they are repeated integrals of erfc;
- of e**x K(x) by the trapezoidal rule for the integral of  (1 - cosh t)**n e**(-x (cosh t - 1)) cosh(order t);
- of e**-x I(x) by Kummer's series, and by the asymptotic one for large x.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core.declare import elementwise
from hograd.core.dispatch import call
from hograd.core.primitive import register
from hograd.core.restoring import silent
from hograd.ops.scipy import scipy_function

_erfcx, _ive, _kve = scipy_function("erfcx"), scipy_function("ive"), scipy_function("kve")


def _family(name: str, kernel: Any, rule: Any) -> None:
    """A primitive that rules know as `F.<name>(x, **parameters)`."""
    primitive = elementwise(name, kernel, [rule], "x")
    register(name, lambda x, **params: call(primitive, (x,), params), kernel)


def _ratios(x: Any, order: int) -> list[Any]:
    """r_k = J_k / J_(k-1)  for k from 0 to `order`, where J_k = e**(x**2) i^k erfc(x) and x >= 1.

    By  r_(k-1) = 1 / (2 x + 2 k r_k)  from so far above that what it begins with is forgotten.
    """
    start = math.ceil((13.5 / float(np.min(x)) + math.sqrt(order + 1)) ** 2) + 2
    ratio, found = np.zeros_like(x), []
    for k in range(start, -1, -1):
        ratio = 1 / (2 * x + 2 * (k + 1) * ratio)
        if k <= order:
            found.append(ratio)
    return found[::-1]


def _erfcx_orders(x: Any, order: int) -> list[Any]:
    """All derivatives up to this order where x < 1, and no terms cancel much."""
    orders = [_erfcx(x)]
    for n in range(1, order + 1):
        orders.append(2 * x * orders[-1] + (2 * (n - 1) * orders[-2] if n > 1 else -2 / math.sqrt(math.pi)))
    return orders


def _by_parts(x: Any, below: Any, above: Any) -> Any:
    """`below` where x < 1 and `above` where x >= 1, each of the numbers there, in float64."""
    z = np.reshape(x.astype(np.float64), (-1,))
    y, large = np.full_like(z, math.nan), z >= 1
    small = z < 1
    if np.any(small):
        y[small] = below(z[small])
    if np.any(large):
        y[large] = above(z[large])
    return scalarize(np.reshape(y, x.shape).astype(x.dtype))


def _erfcx_derivative_kernel(x: Any, order: int) -> Any:
    scale = (-2.0) ** order * math.factorial(order)
    return _by_parts(
        x,
        lambda z: _erfcx_orders(z, order)[-1],
        lambda z: math.prod(_ratios(z, order)[1:], start=scale * _erfcx(z)),
    )


def _erfcx_ratio_kernel(x: Any, order: int) -> Any:
    """The derivative of this order over the one before, which underflows nowhere."""

    def below(z: Any) -> Any:
        *_, before, last = _erfcx_orders(z, order)
        return last / before

    return _by_parts(x, below, lambda z: -2 * order * _ratios(z, order)[order])


_family(
    "erfcx_derivative",
    _erfcx_derivative_kernel,
    lambda F, g, x, order: g * F.erfcx_derivative(x, order=order + 1),
)
_family(
    "erfcx_ratio",
    _erfcx_ratio_kernel,
    lambda F, g, y, x, order: g * y * (F.erfcx_ratio(x, order=order + 1) - y),
)


def _kve_recurrence(x: Any, order: float, n: int) -> Any:
    """From the functions of the orders beside."""
    total = np.zeros_like(x)
    for j in range(n + 1):
        for i in range(j + 1):
            total += math.comb(n, j) * math.comb(j, i) * (-0.5) ** j * _kve(abs(order - j + 2 * i), x)
    # Where the largest terms overflow they have both signs.
    return np.where((x >= 0) & np.isnan(total), (-1) ** n * math.inf, total)


def _kve_integral(x: Any, order: float, n: int) -> Any:
    order, endless = abs(order), x == math.inf
    x = np.where(endless, 1.0, x)
    width = 1 / np.sqrt(np.hypot(x, order))
    step, end = width * 0.18, np.arcsinh(order / x) + (10.5 + n / 2) * width
    total = np.zeros_like(x)
    for k in range(math.ceil(float(np.max(end / step))) + 1):
        t = k * step
        height = 2 * np.sinh(t / 2) ** 2
        # As one exponent, for e**(order t) alone may overflow.
        term = (np.exp(order * t - x * height) + np.exp(-order * t - x * height)) / 2
        if n:
            term = term * (-height) ** n
        total += term if k else term / 2
    return np.where(endless, 0.0, total * step)


def _kve_derivative_kernel(x: Any, order: float, n: int) -> Any:
    return _by_parts(x, lambda z: _kve_recurrence(z, order, n), lambda z: _kve_integral(z, order, n))


_family(
    "kve_derivative",
    _kve_derivative_kernel,
    lambda F, g, x, order, n: g * F.kve_derivative(x, order=order, n=n + 1),
)

#: Beyond this order the series of Kummer is too long.
_LARGEST_ORDER = 17


def _rising(a: float, n: int) -> float:
    return math.prod(a + k for k in range(n))


def _ive_series(x: Any, order: float, n: int) -> Any:
    """By Leibniz for  x**order  times  e**(-2 x) M(order + 1/2, 2 order + 1, 2 x), whose derivatives are alike."""
    a, double = order + 0.5, 2 * x
    count = math.ceil(float(np.max(double)) + 12 * math.sqrt(float(np.max(double))) + 30)
    total = np.zeros_like(x)
    for j in range(n + 1):
        falling = math.prod(order - i for i in range(j))
        if falling == 0:
            continue
        m = n - j
        b = 2 * order + 1 + m
        term = np.exp(-double)
        series = term
        for k in range(count):
            term = term * (double * ((a + k) / ((b + k) * (k + 1))))
            series = series + term
        factor = math.comb(n, j) * falling * (-2.0) ** m * _rising(a, m) / _rising(2 * order + 1, m)
        total += factor / (2.0**order * math.gamma(order + 1)) * x ** (order - j) * series
    return total


def _ive_asymptotic(x: Any, order: float, n: int) -> Any:
    over, term, total = 1 / x, 1.0, np.zeros_like(x)
    for k in range(31):
        total = total + term * ((-1) ** n * _rising(k + 0.5, n))
        term = term * (over * (-(4 * order * order - (2 * k + 1) ** 2) / (8 * (k + 1))))
    return total * over**n * np.sqrt(over) / math.sqrt(2 * math.pi)


def _ive_recurrence(x: Any, order: float, n: int) -> Any:
    total = np.zeros_like(x)
    for j in range(n + 1):
        for i in range(j + 1):
            total += math.comb(n, j) * math.comb(j, i) * (-1.0) ** (n - j) * 0.5**j * _ive(order - j + 2 * i, x)
    return total


def _ive_at_zero(order: float, n: int) -> float:
    """The derivative of I itself: at the kink the exponential has slope 0."""
    if order % 1:
        return 0.0 if order > n else math.copysign(math.inf, math.prod(order - i for i in range(n)))
    half, odd = divmod(n - order, 2)
    if odd or half < 0:
        return 0.0
    return math.factorial(n) / (2.0**n * math.factorial(int(half)) * math.factorial(int(half + order)))


def _ive_derivative_kernel(x: Any, order: float, n: int) -> Any:
    order = abs(order) if order % 1 == 0 else order
    z = np.reshape(np.abs(x.astype(np.float64)), (-1,))
    y = np.full_like(z, math.nan)
    edge = max(30.0, order * order)
    short = 0 <= order <= _LARGEST_ORDER
    for where, form in [
        ((z > 0) & (z <= edge), _ive_series if short else _ive_recurrence),
        (z > edge, _ive_asymptotic),
    ]:
        if np.any(where):
            y[where] = form(z[where], order, n)
    y = np.reshape(np.where(z == 0, _ive_at_zero(order, n), y), x.shape)
    sign = math.nan if order % 1 else (-1.0) ** (order + n)
    return scalarize(np.where(x < 0, sign * y, y).astype(x.dtype))


_family(
    "ive_derivative",
    _ive_derivative_kernel,
    lambda F, g, x, order, n: g * F.ive_derivative(x, order=order, n=n + 1),
)


def _inverse_slope(scale: float, width: float, rest: Any) -> Any:
    """The derivative of the inverse y of a distribution function of the normal, from what is left to the nearer end.

    e**(z**2) is erfcx(z) over erfc(z), which the argument is without the error of the square.
    """

    def kernel(x: Any, y: Any) -> Any:
        left = rest(x)
        with silent():
            slope = _erfcx(np.abs(y) * width) / left * scale
        return scalarize(np.where(left == 0, math.inf, slope).astype(x.dtype))

    return kernel


def _of_value(kernel: Any, inverse: Any) -> Any:
    return lambda x: kernel(x, inverse(x))


_erfinv_slope = _inverse_slope(math.sqrt(math.pi) / 2, 1.0, lambda x: 1 - np.abs(x))
_ndtri_slope = _inverse_slope(math.sqrt(math.pi / 2), math.sqrt(0.5), lambda x: np.where(x < 0.5, x, 1 - x))
_family(
    "erfinv_slope",
    _of_value(_erfinv_slope, scipy_function("erfinv")),
    lambda F, g, y, x: g * y * y * F.erfinv(x) * 2,
)
_family(
    "ndtri_slope",
    _of_value(_ndtri_slope, scipy_function("ndtri")),
    lambda F, g, y, x: g * y * y * F.ndtri(x),
)
