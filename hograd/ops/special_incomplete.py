"""Incomplete gamma and beta functions, with derivatives in all their arguments.

A derivative in a parameter is an integral of the density times a polynomial in its logarithms, which the kernels
compute by the double exponential rule (Takahasi and Mori, 1974). The next one in a parameter is another such integral,
and the one in the limit is the integrand, of special_density.py, so that they are closed under differentiation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core.declare import case, elementwise, operation
from hograd.core.dispatch import call
from hograd.core.primitive import kernels, register
from hograd.core.tensor import Tensor
from hograd.ops.scipy import floats, scipy_function
from hograd.ops.special_density import beta_cumulants, gamma_cumulants, moment, with_logarithms


def _half_line() -> Iterator[tuple[float, float]]:
    """Nodes and weights of the double exponential rule for an integral from 0 to inf of about the scale 1."""
    step = 1 / 16
    for n in range(-72, 137):
        node = math.exp(n * step - math.exp(-n * step))
        yield node, node * (1 + math.exp(-n * step)) * step


_gammainc_kernel, _gammaincc_kernel = scipy_function("gammainc"), scipy_function("gammaincc")


def _gamma_integral(a: Any, b: Any, order: int) -> Any:
    """The derivative of this order >= 1 of gammainc in a, from the side of b that is shorter beside the mode."""
    dtype = np.result_type(a, b)
    a, b = (v.astype(np.float64) for v in (a, b))
    at_end = (a > 0) & ((b == 0) | (b == math.inf))
    valid = (a > 0) & (b > 0) & (b < math.inf)
    a, b = np.where(valid, a, 1.0), np.where(valid, b, 1.0)
    above = b > a
    width = np.minimum(a, np.sqrt(a))
    scale = np.where(above, 1 / np.maximum(1 - a / b, width / b), 1 / np.maximum(a - b, width))
    cumulants, logarithm, normal = gamma_cumulants(a, order), np.log(b), kernels.gammaln(a)
    total = np.zeros_like(b)
    for node, weight in _half_line():
        s = scale * node
        log_t = logarithm + np.where(above, np.log1p(s / b), -s)
        # Below, the integral is over the logarithm of t.
        density = np.exp(np.where(above, a - 1, a) * log_t - np.exp(log_t) - normal)
        total += weight * density * moment(cumulants | {(1, 0): cumulants[1, 0] + log_t}, order, 0)
    total = np.where(above, -scale, scale) * total
    return scalarize(np.where(valid, total, np.where(at_end, 0.0, math.nan)).astype(dtype))


_derivative = elementwise(
    "gammainc_derivative",
    lambda a, b, order: _gamma_integral(a, b, order),
    (
        lambda F, g, a, b, order: g * F.gammainc_derivative(a, b, order + 1),
        lambda F, g, a, b, order: g * F.gamma_density(a, b, order=order, k=0),
    ),
    "a b",
)
register("gammainc_derivative", lambda a, b, order: call(_derivative, (a, b), {"order": order}), _derivative.kernel)


_gammainc = elementwise(
    "gammainc",
    _gammainc_kernel,
    (
        lambda F, g, a, b: g * F.gammainc_derivative(a, b, 1),
        lambda F, g, a, b: g * F.gamma_density(a, b, order=0, k=0),
    ),
    "a b",
)


_gammaincc = elementwise(
    "gammaincc",
    _gammaincc_kernel,
    (
        lambda F, g, a, b: -g * F.gammainc_derivative(a, b, 1),
        lambda F, g, a, b: -g * F.gamma_density(a, b, order=0, k=0),
    ),
    "a b",
)


def _gamma_samples(s: Any) -> list[Any]:
    return [
        case(s.positive(3, 4), s.positive(3, 4)),
        case(s.positive(3, 1) * 3, s.positive(4) * 3),
        case(2.5, s.positive(3)),
        case(s.positive(3), 0.7),
        case(s.positive(), s.positive()),
    ]


@operation(_gammainc_kernel, _gamma_samples)
def gammainc(a: Any, b: Any) -> Tensor:
    """Lower incomplete gamma function, regularised: the integral of  t**(a-1) e**-t / gamma(a)  from 0 to b.

    Args:
        a: number or floating tensor, > 0.
        b: number or floating tensor, >= 0.

    PyTorch, which calls it `igamma`, has its derivative in b alone.

    >>> import hograd as ho
    >>> ho.special.gammainc(2.0, ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.2642])
    """
    return call(_gammainc, floats("gammainc", a, b), {})


@operation(_gammaincc_kernel, _gamma_samples)
def gammaincc(a: Any, b: Any) -> Tensor:
    """Upper incomplete gamma function, regularised  1 - gammainc(a, b), precise for large b.

    Args:
        a: number or floating tensor, > 0.
        b: number or floating tensor, >= 0.

    PyTorch, which calls it `igammac`, has its derivative in b alone.

    >>> import hograd as ho
    >>> ho.special.gammaincc(2.0, ho.tensor([0.0, 1.0]))
    tensor([1.0000, 0.7358])
    """
    return call(_gammaincc, floats("gammaincc", a, b), {})


_betainc_kernel = scipy_function("betainc")


def _beta_integral(a: Any, b: Any, x: Any, i: int, j: int) -> Any:
    """The derivative of the orders i in a and j in b, at least 1 together, of betainc, from the shorter side of x."""
    dtype = np.result_type(a, b, x)
    a, b, x = (v.astype(np.float64) for v in (a, b, x))
    valid = (a > 0) & (b > 0) & (x > 0) & (x < 1)
    ends = (x == 0) | (x == 1)
    a, b, x = (np.where(valid, v, w) for v, w in ((a, 1.0), (b, 1.0), (x, 0.5)))
    above = x * (a + b) > a
    # What the logarithm of t is integrated of is the one of 1 - x above, where all parts change places.
    near, far = np.where(above, b, a), np.where(above, a, b)
    end = np.where(above, 1 - x, x)
    width = np.minimum(near, np.sqrt(near * (near + far) / far))
    scale = 1 / np.maximum(near - (near + far) * end, width)
    cumulants, normal = beta_cumulants(a, b, i, j), kernels.betaln(a, b)
    total = np.zeros_like(x)
    for node, weight in _half_line():
        log_t = np.log(end) - scale * node
        log_rest = np.log1p(-np.exp(log_t))
        density = np.exp(near * log_t + (far - 1) * log_rest - normal)
        logarithms = {(1, 0): np.where(above, log_rest, log_t), (0, 1): np.where(above, log_t, log_rest)}
        total += weight * density * moment(with_logarithms(cumulants, logarithms), i, j)
    total = np.where(above, -scale, scale) * total
    return scalarize(np.where(valid, total, np.where(ends, 0.0, math.nan)).astype(dtype))


_beta_derivative = elementwise(
    "betainc_derivative",
    lambda a, b, x, i, j: _beta_integral(a, b, x, i, j),
    (
        lambda F, g, a, b, x, i, j: g * F.betainc_derivative(a, b, x, i + 1, j),
        lambda F, g, a, b, x, i, j: g * F.betainc_derivative(a, b, x, i, j + 1),
        lambda F, g, a, b, x, i, j: g * F.beta_density(a, b, x, i=i, j=j, k=0, n=0),
    ),
    "a b x",
)
register(
    "betainc_derivative",
    lambda a, b, x, i, j: call(_beta_derivative, (a, b, x), {"i": i, "j": j}),
    _beta_derivative.kernel,
)


_betainc = elementwise(
    "betainc",
    _betainc_kernel,
    (
        lambda F, g, a, b, x: g * F.betainc_derivative(a, b, x, 1, 0),
        lambda F, g, a, b, x: g * F.betainc_derivative(a, b, x, 0, 1),
        lambda F, g, a, b, x: g * F.beta_density(a, b, x, i=0, j=0, k=0, n=0),
    ),
    "a b x",
)


@operation(
    _betainc_kernel,
    lambda s: [
        case(s.positive(3, 4), s.positive(3, 4), s.positive(3, 4) / 3 - 0.06),
        case(2.5, s.positive(3, 1), s.positive(4) / 3 - 0.06),
        case(s.positive(), s.positive(), s.positive() / 3 - 0.06),
    ],
)
def betainc(a: Any, b: Any, x: Any) -> Tensor:
    """Incomplete beta function, regularised: the integral of  t**(a-1) (1-t)**(b-1) / beta(a, b)  from 0 to x.

    Args:
        a, b: numbers or floating tensors, > 0.
        x: number or floating tensor, in [0, 1].

    >>> import hograd as ho
    >>> ho.special.betainc(2.0, 3.0, ho.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.6875, 1.0000])
    """
    return call(_betainc, floats("betainc", a, b, x), {})
