"""The integrands of the incomplete gamma and beta functions, closed under differentiation to the ends of the interval.

    p_k = (a-1)(a-2)...(a-k) x**(a-1-k) e**-x / gamma(a)                dp_k/dx = p_(k+1) - p_k
    q_kl = (a-1)...(a-k) (b-1)...(b-l) x**(a-1-k) (1-x)**(b-1-l) / beta(a, b)   dq_kl/dx = q_(k+1)l - q_k(l+1)

so that at an end there is nothing like 0 / 0: a power is 0, or 1, or it is infinite and its factor may be 0. A
derivative in a parameter multiplies by a polynomial of logarithms and of cumulants.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core.declare import elementwise
from hograd.core.dispatch import call
from hograd.core.primitive import kernels, register
from hograd.core.restoring import silent
from hograd.ops.scipy import scipy_function

_gamma, _beta = (scipy_function(name) for name in ("gamma", "beta"))


def moment(cumulants: dict[tuple[int, int], Any], i: int, j: int) -> Any:
    """The derivative  e**-f d**(i+j) e**f / da**i db**j  from those of f, given by their orders in a and b."""
    if i + j == 0:
        return 1.0
    # By the rule of Leibniz for  e**f df/da, or df/db if none in a is left.
    m, n = (i - 1, j) if i else (i, j - 1)
    return sum(
        math.comb(m, p) * math.comb(n, q) * cumulants[p + i - m, q + j - n] * moment(cumulants, m - p, n - q)
        for p in range(m + 1)
        for q in range(n + 1)
    )


def gamma_cumulants(a: Any, order: int) -> dict[tuple[int, int], Any]:
    """The derivatives in a of  -ln gamma(a), from the first to this one."""
    return {(p, 0): -kernels.polygamma(p - 1, a) for p in range(1, order + 1)}


def beta_cumulants(a: Any, b: Any, i: int, j: int) -> dict[tuple[int, int], Any]:
    """The derivatives of  -ln beta(a, b)  up to the orders i in a and j in b."""
    mixed = {(p, q): kernels.polygamma(p + q - 1, a + b) for p in range(1, i + 1) for q in range(1, j + 1)}
    in_a = {(p, 0): -kernels.polygamma_difference(a, b, order=p - 1) for p in range(1, i + 1)}
    in_b = {(0, q): -kernels.polygamma_difference(b, a, order=q - 1) for q in range(1, j + 1)}
    return mixed | in_a | in_b


def with_logarithms(cumulants: dict[tuple[int, int], Any], logarithms: dict[tuple[int, int], Any]) -> Any:
    return {order: value + logarithms[order] if order in logarithms else value for order, value in cumulants.items()}


def _falling(a: Any, count: int, order: int) -> Any:
    """The derivative of this order of  (a-1)(a-2)...(a-count)."""
    factors = [np.polynomial.Polynomial([-float(k + 1), 1.0]) for k in range(count)]
    y = np.zeros_like(a)
    for coefficient in math.prod(factors, start=np.polynomial.Polynomial([1.0])).deriv(order).coef[::-1].tolist():
        y = y * a + coefficient
    return y


#: Above it Stirling's series is precise.
LARGE = 16.0


def stirling(a: Any) -> Any:
    """ln gamma(a)  less  (a - 1/2) ln a - a + ln(2 pi) / 2."""
    over = 1 / (a * a)
    return (1 / 12 - over * (1 / 360 - over * (1 / 1260 - over * (1 / 1680 - over * (1 / 1188))))) / a


def _deviance(x: Any, mean: Any) -> Any:
    """mean (e - ln(1 + e))  of the excess  e = x / mean - 1."""
    excess = (x - mean) / mean
    r = excess / (2 + excess)
    square = r * r
    series = excess * r - 2 * r * square * sum(square**k / (2 * k + 3) for k in range(14))
    return mean * np.where(np.abs(excess) < 0.3, series, excess - np.log1p(excess))


def _density(a: Any, b: Any, k: int) -> Any:
    """b**(a-1-k) e**-b / gamma(a): for large a by what Stirling's formula leaves (Loader, 2000), with all digits."""
    large = a > LARGE
    u, t = np.where(large, a, 17.0), np.where(large, b, 17.0)
    far = np.sqrt(u / (2 * math.pi)) * np.exp(-stirling(u) - _deviance(t, u)) / b ** (k + 1)
    v = np.where(large, 1.0, a)
    decay = np.exp(-b)
    near = np.where(decay == 0, 0.0, b ** (v - 1 - k) * decay / _gamma(v))
    return np.where(large, far, near)


def _power_of_zero(exponent: Any, factor: Any) -> Any:
    """factor 0**exponent, 0 where the factor is."""
    return np.where(factor == 0, 0.0, factor * np.power(0.0, exponent))


def _in_float64(*args: Any) -> list[Any]:
    """The arguments broadcast against each other, numbers too."""
    none = np.zeros_like(sum(args), np.float64)
    return [v + none for v in args]


def _gamma_density_kernel(a: Any, b: Any, order: int, k: int) -> Any:
    dtype = np.result_type(a, b)
    a, b = _in_float64(a, b)
    with silent():
        end, far = b == 0, b == math.inf
        z = np.where(end | far, 1.0, b)
        density = _density(a, z, k)
        cumulants = with_logarithms(gamma_cumulants(a, order), {(1, 0): np.log(z)})
        inside = (
            sum(math.comb(order, p) * _falling(a, k, p) * moment(cumulants, order - p, 0) for p in range(order + 1))
            * density
        )
        factor = _falling(a, k, 0)
        at_end = _power_of_zero(a - 1 - k, factor / _gamma(a))
        if order:
            infinite = np.where(factor == 0, math.nan, np.copysign(math.inf, factor) * (-1.0) ** order)
            at_end = np.where(a - 1 - k > 0, 0.0, infinite)
        y = np.where(end, at_end, np.where(far, 0.0, inside))
    return scalarize(np.where(a > 0, y, math.nan).astype(dtype))


def _beta_density_kernel(a: Any, b: Any, x: Any, i: int, j: int, k: int, n: int) -> Any:
    dtype = np.result_type(a, b, x)
    a, b, x = _in_float64(a, b, x)
    with silent():
        low, high = x == 0, x == 1
        z = np.where(low | high, 0.5, x)
        log_x, log_rest = np.log(z), np.log1p(-z)
        # Products of powers where these are numbers, for exponents of large logarithms lose digits.
        direct = z ** (a - 1 - k) * (1 - z) ** (b - 1 - n) / _beta(a, b)
        scaled = np.exp((a - 1 - k) * log_x + (b - 1 - n) * log_rest - kernels.betaln(a, b))
        density = np.where((direct > 0) & (direct < math.inf) & (a + b < 100), direct, scaled)
        # As for the gamma function.
        large = (a > LARGE) & (b > LARGE)
        u, v, count = (np.where(large, w, 17.0) for w in (a, b, a + b))
        rest = stirling(count) - stirling(u) - stirling(v) - _deviance(count * z, u) - _deviance(count * (1 - z), v)
        sharp = np.sqrt(u * v / (count * 2 * math.pi)) * np.exp(rest) / (z ** (k + 1) * (1 - z) ** (n + 1))
        density = np.where(large, sharp, density)
        cumulants = with_logarithms(beta_cumulants(a, b, i, j), {(1, 0): log_x, (0, 1): log_rest})
        inside = (
            sum(
                math.comb(i, p)
                * math.comb(j, q)
                * _falling(a, k, p)
                * _falling(b, n, q)
                * moment(cumulants, i - p, j - q)
                for p in range(i + 1)
                for q in range(j + 1)
            )
            * density
        )
        factor = _falling(a, k, 0) * _falling(b, n, 0)
        near = np.where(low, a - 1 - k, b - 1 - n)
        at_end = _power_of_zero(near, factor / _beta(a, b))
        if i + j:
            # nan where a logarithm meets a pole or a step.
            at_end = np.where(near > 0, 0.0, math.nan)
        y = np.where(low | high, at_end, inside)
    return scalarize(np.where((a > 0) & (b > 0) & (x >= 0) & (x <= 1), y, math.nan).astype(dtype))


_gamma_density = elementwise(
    "gamma_density",
    _gamma_density_kernel,
    (
        lambda F, g, a, b, order, k: g * F.gamma_density(a, b, order=order + 1, k=k),
        lambda F, g, a, b, order, k: (
            g * (F.gamma_density(a, b, order=order, k=k + 1) - F.gamma_density(a, b, order=order, k=k))
        ),
    ),
    "a b",
)
_beta_density = elementwise(
    "beta_density",
    _beta_density_kernel,
    (
        lambda F, g, a, b, x, i, j, k, n: g * F.beta_density(a, b, x, i=i + 1, j=j, k=k, n=n),
        lambda F, g, a, b, x, i, j, k, n: g * F.beta_density(a, b, x, i=i, j=j + 1, k=k, n=n),
        lambda F, g, a, b, x, i, j, k, n: (
            g * (F.beta_density(a, b, x, i=i, j=j, k=k + 1, n=n) - F.beta_density(a, b, x, i=i, j=j, k=k, n=n + 1))
        ),
    ),
    "a b x",
)
register("gamma_density", lambda a, b, **params: call(_gamma_density, (a, b), params), _gamma_density_kernel)
register("beta_density", lambda a, b, x, **params: call(_beta_density, (a, b, x), params), _beta_density_kernel)
