"""Special functions of the gamma family: logarithms of gamma and beta, their derivatives, zeta."""

from __future__ import annotations

import math
from typing import Any

from hograd.core.declare import binary, case, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.fast import as_floating
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError
from hograd.ops.samples import positive, positive_pairs
from hograd.ops.scipy import no_derivative, scipy_function


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
_psi = scipy_function("digamma")


def _polygamma_kernel(n: int, x: Any) -> Any:
    # (-1)**(n+1) n! zeta(n + 1, x), with the factorial as a number of weak dtype.
    return _zeta(float(n + 1), x) * (float(math.factorial(n)) * (1 if n % 2 else -1)) if n else _psi(x)


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


betaln = binary(
    "betaln",
    scipy_function("betaln"),
    (
        lambda F, a, b: F.digamma(a) - F.digamma(a + b),
        lambda F, a, b: F.digamma(b) - F.digamma(a + b),
    ),
    samples=positive_pairs,
    doc="""ln |beta(a, b)|  =  gammaln(a) + gammaln(b) - gammaln(a + b).

    >>> import hograd as ho
    >>> ho.special.betaln(ho.tensor([1.0, 2.0]), ho.tensor([1.0, 3.0]))
    tensor([ 0.0000, -2.4849])
    """,
)


zeta = binary(
    "zeta",
    _zeta,
    (
        lambda F, g: no_derivative("zeta", "first"),
        lambda F, g, a, b: -g * a * F.zeta(a + 1, b),
    ),
    samples=lambda s: [case(2.5, s.positive(3, 4)), case(3.0, s.positive())],
    doc="""Hurwitz zeta function  sum over k >= 0 of (k + b)**-a; nan for a < 1.

    It has a derivative in b alone; asking for the one in a raises a `GradientError`.

    >>> import hograd as ho
    >>> ho.special.zeta(2.0, ho.tensor([1.0, 2.0]))
    tensor([1.6449, 0.6449])
    """,
)
