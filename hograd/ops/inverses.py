"""Inverse trigonometric and hyperbolic functions, of real and complex numbers.

Their derivatives are written by two functions for each kind of radicand  q = t + s x**2,  which are closed under
differentiation, never square a large number, and subtract nothing that is nearly equal:

    v = q**(-1/2), u = x v:   dv/dx = -s u v**2,  du/dx = t v**3
    w = 1 / q,     m = x w:   dw/dx = -2 s m w,   dm/dx = w**2 - s m**2    (for t = 1)

Of complex numbers roots and quotients are taken of the two factors of q, so that the derivatives have the cuts of the
functions, and on a cut the side that the sign of the zero says (Kahan, 1987).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core import fast
from hograd.core.declare import case, elementwise, unary
from hograd.core.primitive import register
from hograd.ops.samples import anywhere, inside_one

__all__ = ["acos", "acosh", "asin", "asinh", "atan", "atanh"]


def _from_parts(x: Any, real: Any, imag: Any) -> Any:
    """Complex numbers of the dtype of x; sums with 1 and products with 1j would lose the signs of zeros."""
    parts = np.stack(np.broadcast_arrays(real, imag), -1)
    return parts.view(x.dtype)[..., 0]


#: The two factors of q, of complex numbers.
_FACTORS: dict[str, Any] = {
    "1 - x**2": lambda x: (_from_parts(x, 1 - x.real, -x.imag), _from_parts(x, 1 + x.real, x.imag)),
    "1 + x**2": lambda x: (_from_parts(x, 1 - x.imag, x.real), _from_parts(x, 1 + x.imag, -x.real)),
    "x**2 - 1": lambda x: (_from_parts(x, x.real - 1, x.imag), _from_parts(x, x.real + 1, x.imag)),
}


def _complex_root(x: Any, q: str) -> Any:
    first, second = _FACTORS[q](x)
    return 1 / np.sqrt(first) / np.sqrt(second)


def _complex_reciprocal(x: Any, q: str) -> Any:
    first, second = _FACTORS[q](x)
    return 1 / first / second


def _declare(name: str, q: str, real: Any, at_infinity: float, of_complex: Any, rules: Any) -> None:
    """The primitives `<name>_slope`, which is v or w, and `<name>_moment`, x times that."""

    def slope(x: Any) -> Any:
        y = np.where(np.isinf(x), 0, of_complex(x, q)) if x.dtype.kind == "c" else real(x)
        return scalarize(y.astype(x.dtype))

    def moment(x: Any) -> Any:
        limit = 0.0 if x.dtype.kind == "c" else np.copysign(at_infinity, x.real).astype(x.dtype)
        return scalarize(np.where(np.isinf(x), limit, x * slope(x)).astype(x.dtype))

    for part, kernel, rule in (("slope", slope, rules[0]), ("moment", moment, rules[1])):
        primitive = elementwise(f"{name}_{part}", kernel, [rule], "x")
        register(f"{name}_{part}", fast.unary(primitive, floating=True), kernel)


def _over_square_and_one(x: Any) -> Any:
    """1 / (1 + x**2)."""
    over = 1 / x
    return np.where(np.abs(x) > 1, over / (x + over), 1 / (1 + x * x))


_declare(
    "asin",
    "1 - x**2",
    lambda x: 1 / np.sqrt((1 - x) * (1 + x)),
    np.nan,
    _complex_root,
    (
        lambda F, x: F.asin_moment(x) * F.square(F.asin_slope(x)),
        lambda F, x: F.asin_slope(x) * F.square(F.asin_slope(x)),
    ),
)
_declare(
    "asinh",
    "1 + x**2",
    lambda x: 1 / np.hypot(x, 1),
    1.0,
    _complex_root,
    (
        lambda F, x: -F.asinh_moment(x) * F.square(F.asinh_slope(x)),
        lambda F, x: F.asinh_slope(x) * F.square(F.asinh_slope(x)),
    ),
)
_declare(
    "acosh",
    "x**2 - 1",
    lambda x: 1 / np.sqrt(x - 1) / np.sqrt(x + 1),
    1.0,
    _complex_root,
    (
        lambda F, x: -F.acosh_moment(x) * F.square(F.acosh_slope(x)),
        lambda F, x: -F.acosh_slope(x) * F.square(F.acosh_slope(x)),
    ),
)
_declare(
    "atan",
    "1 + x**2",
    _over_square_and_one,
    0.0,
    _complex_reciprocal,
    (
        lambda F, x: F.atan_moment(x) * F.atan_slope(x) * -2,
        lambda F, x: F.square(F.atan_slope(x)) - F.square(F.atan_moment(x)),
    ),
)
_declare(
    "atanh",
    "1 - x**2",
    lambda x: 1 / (1 - x) / (1 + x),
    0.0,
    _complex_reciprocal,
    (
        lambda F, x: F.atanh_moment(x) * F.atanh_slope(x) * 2,
        lambda F, x: F.square(F.atanh_slope(x)) + F.square(F.atanh_moment(x)),
    ),
)


asin = unary(
    "asin",
    np.arcsin,
    lambda F, x: F.asin_slope(x),
    samples=inside_one,
    doc="""Inverse sine in radians; nan outside [-1, 1], and its derivative at the ends is inf.

    >>> import hograd as ho
    >>> ho.asin(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 1.5708])
    """,
)


acos = unary(
    "acos",
    np.arccos,
    lambda F, x: -F.asin_slope(x),
    samples=inside_one,
    doc="""Inverse cosine in radians; nan outside [-1, 1], and its derivative at the ends is -inf.

    >>> import hograd as ho
    >>> ho.acos(ho.tensor([0.0, 1.0]))
    tensor([1.5708, 0.0000])
    """,
)


atan = unary(
    "atan",
    np.arctan,
    lambda F, x: F.atan_slope(x),
    samples=anywhere,
    doc="""Inverse tangent in radians, between -pi/2 and pi/2.

    >>> import hograd as ho
    >>> ho.atan(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7854])
    """,
)


asinh = unary(
    "asinh",
    np.arcsinh,
    lambda F, x: F.asinh_slope(x),
    samples=anywhere,
    doc="""Inverse hyperbolic sine  ln(x + sqrt(x**2 + 1)).

    >>> import hograd as ho
    >>> ho.asinh(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8814])
    """,
)


acosh = unary(
    "acosh",
    np.arccosh,
    lambda F, x: F.acosh_slope(x),
    samples=lambda s: [case(s.positive(3, 4) + 1), case(s.positive() + 1), case(s.positive(2, 1, 3) + 1)],
    doc="""Inverse hyperbolic cosine  ln(x + sqrt(x**2 - 1)); nan below 1, and its derivative at 1 is inf.

    >>> import hograd as ho
    >>> ho.acosh(ho.tensor([1.0, 2.0]))
    tensor([0.0000, 1.3170])
    """,
)


atanh = unary(
    "atanh",
    np.arctanh,
    lambda F, x: F.atanh_slope(x),
    samples=inside_one,
    doc="""Inverse hyperbolic tangent  ln((1 + x) / (1 - x)) / 2; infinite at -1 and 1, nan beyond.

    >>> import hograd as ho
    >>> ho.atanh(ho.tensor([0.0, 0.5]))
    tensor([0.0000, 0.5493])
    """,
)
