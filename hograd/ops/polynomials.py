"""Orthogonal polynomials of one variable, by their recurrences.

PyTorch has no derivatives of them. Here the k-th derivative is computed by the recurrence

    p_(n+1) = (a x + b) p_n - c p_(n-1)      differentiated k times:
    p_(n+1)^(k) = (a x + b) p_n^(k) + k a p_n^(k-1) - c p_(n-1)^(k)

which divides by nothing, and so is exact at the ends of the interval too, where the textbook forms are 0 / 0.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hograd.backend import scalarize, through_cpu
from hograd.core.declare import case, elementwise, operation
from hograd.core.dispatch import call
from hograd.core.primitive import register
from hograd.core.tensor import Tensor
from hograd.ops.scipy import floats

__all__: list[str] = []


class Family(NamedTuple):
    """A sequence of polynomials.

    Attributes:
        terms: (a, b, c) of the recurrence after p_n.
        zeros: a bound of |x| for the zeros of p_n.
        sign: the sign of the leading coefficients from one to the next.
        shifted: whether the polynomials are taken at 2 x - 1.
    """

    terms: Callable[[int], tuple[float, float, float]]
    zeros: Callable[[Any], Any]
    sign: int = 1
    shifted: bool = False


def _chebyshev(first: tuple[float, float], shifted: bool) -> Family:
    return Family(lambda n: (2, 0, 1) if n else (*first, 0), np.ones_like, shifted=shifted)


#: p_1 as (a, b) of a x + b, for the four kinds.
_KINDS = {"t": (1, 0), "u": (2, 0), "v": (2, -1), "w": (2, 1)}

_FAMILIES = {
    **{f"chebyshev_polynomial_{kind}": _chebyshev(first, False) for kind, first in _KINDS.items()},
    **{f"shifted_chebyshev_polynomial_{kind}": _chebyshev(first, True) for kind, first in _KINDS.items()},
    "hermite_polynomial_h": Family(lambda n: (2, 0, 2 * n), lambda n: np.sqrt(2 * n + 1)),
    "hermite_polynomial_he": Family(lambda n: (1, 0, n), lambda n: np.sqrt(4 * n + 2)),
    "laguerre_polynomial_l": Family(
        lambda n: (-1 / (n + 1), (2 * n + 1) / (n + 1), n / (n + 1)), lambda n: 4 * n + 2, sign=-1
    ),
    "legendre_polynomial_p": Family(lambda n: ((2 * n + 1) / (n + 1), 0, n / (n + 1)), np.ones_like),
}


def _evaluated(x: Any, n: Any, family: str, order: int) -> Any:
    """The derivative of this order, in float64 for all dtypes; 0 for negative n."""
    terms, zeros, sign, shifted = _FAMILIES[family]
    z, degree = np.broadcast_arrays(np.asarray(x, np.float64), np.trunc(np.asarray(n, np.float64)))
    z = 2 * z - 1 if shifted else z
    known, endless = np.isfinite(degree), np.isinf(z)
    # An infinite x is of no use to a recurrence, and no degree up to the order depends on x.
    finite = np.where(endless, np.sign(z), z)
    y = np.where(known, 0.0, math.nan)
    before, now = [np.zeros(z.shape) for _ in range(order + 1)], [np.zeros(z.shape) for _ in range(order + 1)]
    now[0] = np.where(np.isnan(z), math.nan, 1.0)
    last = int(np.max(degree, where=known, initial=-1))
    with np.errstate(all="ignore"):
        for k in range(last + 1):
            y = np.where(degree == k, now[order], y)
            a, b, c = terms(k)
            line = a * finite + b
            following = [line * now[0] - c * before[0]]
            following += [line * now[i] + i * a * now[i - 1] - c * before[i] for i in range(1, order + 1)]
            before, now = now, following
        # Beyond all zeros, what overflows with terms of both signs has the sign of the leading power.
        lost = known & (degree > order) & (endless | (np.isnan(y) & (np.abs(z) > zeros(np.maximum(degree, 0)))))
        leading = np.where(np.mod(degree, 2) == 1, sign, 1) * np.where(np.mod(degree - order, 2) == 1, np.sign(z), 1)
    y = np.where(lost, np.copysign(math.inf, leading), y)
    return scalarize((y * 2.0**order if shifted else y).astype(np.result_type(x)))


def _kernel(x: Any, n: Any, family: str, order: int) -> Any:
    return through_cpu(functools.partial(_evaluated, family=family, order=order), x, n)


def _slope(F: Any, g: Any, x: Any, n: Any, family: str, order: int) -> Any:
    return g * F.orthogonal_polynomial(x, n, family=family, order=order + 1)


_primitive = elementwise("orthogonal_polynomial", _kernel, (_slope, 0), "x n")


def _value(x: Any, n: Any, family: str, order: int) -> Tensor:
    return call(_primitive, (x, n), {"family": family, "order": order})


register("orthogonal_polynomial", _value, _kernel)


def _samples(s: Any) -> list[Any]:
    degrees = np.array([[0], [1], [2], [3], [7]])
    return [case(s.away_from_zero(3), degrees), case(s.normal(2, 3), 4), case(s.normal(), -1), case(s.normal(3), 2.7)]


def _polynomial(name: str, called: str, formula: str, example: str) -> Any:
    def function(x: Any, n: Any) -> Tensor:
        return _value(*floats(name, x, n), family=name, order=0)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{called} of degree n:  {formula}

    Args:
        x: floating tensor; its derivatives of any order are exact.
        n: number or tensor, which is rounded towards 0 and has the derivative 0; below 0 the answer is 0.

    >>> import hograd as ho
    >>> ho.special.{name}(ho.tensor([-1.0, 0.5, 2.0]), 3)
    tensor([{example}])
    """
    return operation(lambda x, n: _kernel(x, n, name, 0), _samples)(function)


def _of_chebyshev(kind: str, ordinal: str, formula: str, plain: str, shifted: str) -> tuple[Any, Any]:
    """The polynomial of this kind, and the shifted one."""
    name = f"chebyshev_polynomial_{kind}"
    return (
        _polynomial(name, f"Chebyshev polynomial of the {ordinal} kind", formula, plain),
        _polynomial(
            f"shifted_{name}",
            f"Chebyshev polynomial of the {ordinal} kind at 2 x - 1",
            f"{kind.upper()}_n(2 x - 1).",
            shifted,
        ),
    )


chebyshev_polynomial_t, shifted_chebyshev_polynomial_t = _of_chebyshev(
    "t", "first", "T_n(cos t) = cos(n t).", "-1., -1., 26.", "-99.,  -0.,  99."
)
chebyshev_polynomial_u, shifted_chebyshev_polynomial_u = _of_chebyshev(
    "u", "second", "U_n(cos t) = sin((n + 1) t) / sin(t).", "-4., -1., 56.", "-204.,   -0.,  204."
)
chebyshev_polynomial_v, shifted_chebyshev_polynomial_v = _of_chebyshev(
    "v", "third", "V_n(cos t) = cos((n + 1/2) t) / cos(t / 2).", "-7., -1., 41.", "-239.,    1.,  169."
)
chebyshev_polynomial_w, shifted_chebyshev_polynomial_w = _of_chebyshev(
    "w", "fourth", "W_n(cos t) = sin((n + 1/2) t) / sin(t / 2).", "-1., -1., 71.", "-169.,   -1.,  239."
)

hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h",
    "Hermite polynomial of physics",
    "(-1)**n e**(x**2) times the n-th derivative of e**(-x**2).",
    " 4., -5., 40.",
)

hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he",
    "Hermite polynomial of probability",
    "(-1)**n e**(x**2 / 2) times the n-th derivative of e**(-x**2 / 2).",
    " 2.0000, -1.3750,  2.0000",
)

laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l",
    "Laguerre polynomial",
    "e**x / n! times the n-th derivative of e**-x x**n.",
    " 5.6667, -0.1458, -0.3333",
)

legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p",
    "Legendre polynomial",
    "the n-th derivative of (x**2 - 1)**n, over 2**n n!.",
    "-1.0000, -0.4375, 17.0000",
)
