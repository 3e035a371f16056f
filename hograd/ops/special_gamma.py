"""Special functions of the gamma family: logarithms of gamma and beta, their derivatives, zeta."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import is_number, scalarize
from hograd.core.declare import binary, case, composite, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.fast import as_floating
from hograd.core.primitive import register
from hograd.core.restoring import silent
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError
from hograd.ops.axes import operand
from hograd.ops.samples import positive, positive_pairs
from hograd.ops.scipy import floats, scipy_function
from hograd.ops.special_density import LARGE, stirling

__all__ = ["digamma", "mvlgamma", "polygamma"]


def _off_the_poles(s: Any) -> list[Any]:
    """Positive numbers, and negative ones that are not whole."""
    return [*positive(s), case(s.array([-0.4, -1.7, -2.3]))]


gammaln = unary(
    "gammaln",
    scipy_function("gammaln"),
    lambda F, x: F.digamma(x),
    samples=_off_the_poles,
    doc="""ln |gamma(x)|; inf at 0 and the negative whole numbers.

    >>> import hograd as ho
    >>> ho.special.gammaln(ho.tensor([1.0, 5.0]))
    tensor([0.0000, 3.1781])
    """,
)


digamma = unary(
    "digamma",
    scipy_function("digamma"),
    lambda F, x: F.polygamma(1, x),
    samples=_off_the_poles,
    doc="""Derivative of ln gamma(x); -inf at 0, nan at the negative whole numbers.

    >>> import hograd as ho
    >>> ho.digamma(ho.tensor([1.0, 2.0]))
    tensor([-0.5772,  0.4228])
    """,
)


_zeta = scipy_function("zeta")
_gammaln = scipy_function("gammaln")
_psi = scipy_function("digamma")


def _polygamma_kernel(n: int, x: Any) -> Any:
    if n == 0:
        return _psi(x)
    # SciPy's zeta takes as many steps as x is below 0: far below, x is reflected at 1/2, by the n-th derivative of
    # pi cot(pi x), a polynomial in the cotangent.
    far = x < -30
    y = _zeta(float(n + 1), np.where(far, 1 - x, x)) * (float(math.factorial(n)) * (1 if n % 2 else -1))
    if not np.any(far):
        return scalarize(y)
    from_whole = np.where(far, x - np.round(x), 0.5)
    pole = from_whole == 0
    cotangent = 1 / np.tan(np.where(pole, 0.5, from_whole) * math.pi)
    polynomial = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([-1.0, 0.0, -1.0])
    derivative = _horner(polynomial, cotangent)
    reflected = np.where(pole, -math.inf if n % 2 else math.inf, derivative * math.pi ** (n + 1))
    return scalarize(np.where(far, y * (-1) ** n - reflected, y))


def _horner(polynomial: np.polynomial.Polynomial, x: Any) -> Any:
    y = x * 0
    for coefficient in polynomial.coef[::-1].tolist():
        y = y * x + coefficient
    return y


_polygamma = elementwise(
    "polygamma",
    lambda x, n: _polygamma_kernel(n, x),
    [lambda F, g, x, n: g * F.polygamma(n + 1, x)],
    "x",
)


@operation(
    _polygamma_kernel,
    lambda s: [
        case(1, s.positive(3, 4)),
        case(2, s.positive()),
        case(3, s.array([-0.4, -1.7])),
        case(0, s.positive(2, 3)),
    ],
)
def polygamma(n: int, x: Any) -> Tensor:
    """n-th derivative of `digamma`.

    Args:
        n: whole Python number, >= 0.
        x: floating tensor.

    Raises:
        ArgumentError: n is negative or not whole.

    >>> import hograd as ho
    >>> ho.polygamma(1, ho.tensor([1.0, 2.0]))
    tensor([1.6449, 0.6449])
    """
    if isinstance(n, Tensor) or not hasattr(n, "__index__") or n < 0:
        raise ArgumentError(f"polygamma(n, x) got n={n!r}, expected a whole number >= 0.")
    return call(_polygamma, (as_floating(x, _polygamma),), {"n": n.__index__()})


#: B(2k) / (2k)!
_BERNOULLI = [1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600]


def _polygamma_difference_kernel(a: Any, b: Any, order: int) -> Any:
    """polygamma(order, a) - polygamma(order, a + b), term by term, for b may be lost in a.

    By the recurrence up to where the asymptotic series holds.
    """
    dtype = np.result_type(a, b)
    a, b = (v if is_number(v) else v.astype(np.float64) for v in (a, b))
    sides = (a > 0) & (b > 0)
    with silent():
        z, total = np.where(sides, a, 1.0), np.zeros_like(a + b)
        added = np.where(sides, b, 1.0)

        def less(power: int) -> Any:
            """z**-power - (z + b)**-power"""
            return -np.expm1(-power * np.log1p(added / z)) / z**power

        for _ in range(16):
            total += math.factorial(order) * less(order + 1)
            z = z + 1
        total += math.factorial(order) / 2 * less(order + 1)
        total += math.factorial(order - 1) * less(order) if order else np.log1p(added / z)
        for k, coefficient in enumerate(_BERNOULLI, 1):
            total += coefficient * math.factorial(2 * k + order - 1) * less(2 * k + order)
        apart = _polygamma_kernel(order, a) - _polygamma_kernel(order, a + b)
    return scalarize(np.where(sides, total * (-1) ** (order + 1), apart).astype(dtype))


_polygamma_difference = elementwise(
    "polygamma_difference",
    _polygamma_difference_kernel,
    (
        lambda F, g, a, b, order: g * F.polygamma_difference(a, b, order=order + 1),
        lambda F, g, a, b, order: -g * F.polygamma(order + 1, a + b),
    ),
    "a b",
)
register(
    "polygamma_difference",
    lambda a, b, order: call(_polygamma_difference, (a, b), {"order": order}),
    _polygamma_difference_kernel,
)


_betaln = scipy_function("betaln")


def _betaln_kernel(a: Any, b: Any) -> Any:
    """By Stirling's formula where one is large, for the logarithms of gamma(b) and gamma(a + b) agree there."""
    y = _betaln(a, b)
    dtype = y.dtype
    small, large = (f(a, b).astype(np.float64) for f in (np.minimum, np.maximum))
    far = (small > 0) & (large > LARGE) & (large < math.inf)
    if not np.any(far):
        return y
    p, q = np.where(far, small, 1.0), np.where(far, large, 17.0)
    both, apart, log_sum = p > LARGE, np.log1p(p / q), np.log(p + q)
    u = np.where(both, p, 17.0)
    of_small = np.where(
        both,
        stirling(u) - (u - 0.5) * np.log1p(q / u) + 0.5 * (math.log(2 * math.pi) - log_sum),
        _gammaln(p) + p - p * log_sum,
    )
    found = of_small - (q - 0.5) * apart + stirling(q) - stirling(p + q)
    return scalarize(np.where(far, found, y).astype(dtype))


betaln = binary(
    "betaln",
    _betaln_kernel,
    (
        lambda F, a, b: F.polygamma_difference(a, b, order=0),
        lambda F, a, b: F.polygamma_difference(b, a, order=0),
    ),
    samples=positive_pairs,
    doc="""ln |beta(a, b)|  =  gammaln(a) + gammaln(b) - gammaln(a + b).

    >>> import hograd as ho
    >>> ho.special.betaln(ho.tensor([1.0, 2.0]), ho.tensor([1.0, 3.0]))
    tensor([ 0.0000, -2.4849])
    """,
)


def _rising(a: Any, count: int, order: int) -> Any:
    """The derivative of this order of  a (a + 1) ... (a + count - 1)."""
    return _horner(np.polynomial.Polynomial.fromroots([-float(k) for k in range(count)]).deriv(order), a)


def _zeta_derivative_kernel(a: Any, b: Any, order: int) -> Any:
    """The derivative of this order in a of zeta, for a > 1 and b > 0, by the formula of Euler and Maclaurin."""
    dtype = np.result_type(a, b)
    a, b = (v.astype(np.float64) for v in (a, b))
    valid = (a > 1) & (b > 0)
    a, b = np.where(valid, a, 2.0), np.where(valid, b, 1.0)
    head = 16
    total = np.zeros_like(a)
    for k in range(head):
        logarithm = np.log(b + k)
        total += (-logarithm) ** order * np.exp(-a * logarithm)
    z = b + head
    logarithm = np.log(z)
    for n in range(order + 1):
        rest = z * (-1) ** n * math.factorial(n) / (a - 1) ** (n + 1) + (0 if n else 0.5)
        for k, coefficient in enumerate(_BERNOULLI):
            rest += coefficient * _rising(a, 2 * k + 1, n) / z ** (2 * k + 1)
        decay = math.comb(order, n) * (-logarithm) ** (order - n) * np.exp(-a * logarithm)
        # Where powers of a overflow, it is 0.
        total += np.where(decay == 0, 0.0, decay * rest)
    return scalarize(np.where(valid, total, math.nan).astype(dtype))


def _zeta_pull(F: Any, g: Any, a: Any, b: Any, order: int) -> Any:
    """By the derivative  -a zeta(a + 1, b)  in b, differentiated in a."""
    pull = -g * a * F.zeta_derivative(a + 1, b, order)
    return pull - g * F.zeta_derivative(a + 1, b, order - 1) * order if order > 1 else pull - g * F.zeta(a + 1, b)


_zeta_derivative = elementwise(
    "zeta_derivative",
    _zeta_derivative_kernel,
    (lambda F, g, a, b, order: g * F.zeta_derivative(a, b, order + 1), _zeta_pull),
    "a b",
)
register(
    "zeta_derivative", lambda a, b, order: call(_zeta_derivative, (a, b), {"order": order}), _zeta_derivative_kernel
)


_zeta_primitive = elementwise(
    "zeta",
    _zeta,
    (
        lambda F, g, a, b: g * F.zeta_derivative(a, b, 1),
        lambda F, g, a, b: -g * a * F.zeta(a + 1, b),
    ),
    "a b",
)


@operation(
    _zeta,
    lambda s: [
        case(s.positive(3, 4) + 1, s.positive(3, 4)),
        case(2.5, s.positive(3, 4)),
        case(s.positive(3) + 1, 1.5),
        case(s.positive() + 1, s.positive()),
    ],
)
def zeta(a: Any, b: Any) -> Tensor:
    """Hurwitz zeta function  sum over k >= 0 of (k + b)**-a; inf for a = 1, nan for a < 1.

    Args:
        a: number or floating tensor, > 1.
        b: number or floating tensor; where it is not above 0, the derivative in a is nan.

    PyTorch has its derivative in b alone.

    >>> import hograd as ho
    >>> ho.special.zeta(2.0, ho.tensor([1.0, 2.0]))
    tensor([1.6449, 0.6449])
    """
    return call(_zeta_primitive, floats("zeta", a, b), {})


@composite(lambda s: [case(s.positive(3, 4) + 1, 2), case(s.positive() + 2, 3), case(s.positive(2), 1)])
def mvlgamma(F: Any, x: Any, p: int) -> Tensor:
    """Logarithm of the multivariate gamma function,  p (p - 1) / 4 ln(pi) + sum_(j < p) gammaln(x - j / 2).

    Args:
        x: above (p - 1) / 2.
        p: at least 1.

    >>> import hograd as ho
    >>> ho.mvlgamma(ho.tensor([1.0, 2.0]), 2)
    tensor([1.1447, 0.4516])
    """
    if not isinstance(p, (int, np.integer)) or p < 1:
        raise ArgumentError(f"mvlgamma got p={p!r}, expected a whole number above 0.")
    x = operand(F, x, "mvlgamma")
    total = F.gammaln(x)
    for j in range(1, p):
        total = total + F.gammaln(x - j / 2)
    return total + p * (p - 1) / 4 * math.log(math.pi)
