"""Bessel functions of both kinds, the modified and the spherical ones, and Airy's."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from hograd.backend import scalarize, through_cpu
from hograd.core.declare import case, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.fast import as_floating
from hograd.core.primitive import register
from hograd.core.tensor import Tensor
from hograd.ops.samples import anywhere, away_from_zero, positive
from hograd.ops.scipy import scipy_function
from hograd.ops.special_bessel_far import beyond_scipy, beyond_scipy_of

__all__ = ["i0"]

# Derivatives are written by the functions of the orders beside, which has no division by x as the textbook forms of
# order 1 have: so they are exact at 0 to every order. Of the scaled functions these cancel: special_scaled.py has them.


def _orders(s: Any) -> list[Any]:
    return [case(2, s.away_from_zero(3, 4)), case(1, s.away_from_zero()), case(0.5, s.positive(2, 1, 3))]


_iv_kernel, _ive_kernel = beyond_scipy("iv"), beyond_scipy("ive")


_iv = elementwise(
    "iv",
    lambda x, order: _iv_kernel(order, x),
    [lambda F, g, x, order: g * (F.iv(order - 1, x) + F.iv(order + 1, x)) * 0.5],
    "x",
)


_ive = elementwise(
    "ive",
    lambda x, order: _ive_kernel(order, x),
    [lambda F, g, x, order: g * F.ive_derivative(x, order=order, n=1)],
    "x",
)


@operation(_iv_kernel, _orders)
def iv(order: float, x: Any) -> Tensor:
    """Modified Bessel function of the first kind of this order, I(x).

    Args:
        order: Python number, a constant; where it is not whole, x must not be negative.
        x: floating tensor.

    >>> import hograd as ho
    >>> ho.special.iv(2, ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.1357])
    """
    return call(_iv, (as_floating(x, _iv),), {"order": order})


@operation(_ive_kernel, _orders)
def ive(order: float, x: Any) -> Tensor:
    """e**-|x| times the modified Bessel function of the first kind of this order.

    Args:
        order: Python number, a constant; where it is not whole, x must not be negative.
        x: floating tensor.

    >>> import hograd as ho
    >>> ho.special.ive(2, ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.0499])
    """
    return call(_ive, (as_floating(x, _ive),), {"order": order})


i0 = unary(
    "i0",
    scipy_function("i0"),
    lambda F, x: F.i1(x),
    samples=anywhere,
    doc="""Modified Bessel function of the first kind of order 0.

    >>> import hograd as ho
    >>> ho.i0(ho.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """,
)


i1 = unary(
    "i1",
    scipy_function("i1"),
    lambda F, x: (F.i0(x) + F.iv(2, x)) * 0.5,
    samples=anywhere,
    doc="""Modified Bessel function of the first kind of order 1.

    >>> import hograd as ho
    >>> ho.special.i1(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.5652])
    """,
)


i0e = unary(
    "i0e",
    scipy_function("i0e"),
    lambda F, x: F.ive_derivative(x, order=0, n=1),
    samples=away_from_zero,
    doc="""e**-|x| i0(x); its derivative at the kink 0 is 0.

    >>> import hograd as ho
    >>> ho.special.i0e(ho.tensor([0.0, 1000.0]))
    tensor([1.0000, 0.0126])
    """,
)


i1e = unary(
    "i1e",
    scipy_function("i1e"),
    lambda F, x: F.ive_derivative(x, order=1, n=1),
    samples=away_from_zero,
    doc="""e**-|x| i1(x).

    >>> import hograd as ho
    >>> ho.special.i1e(ho.tensor([0.0, 1000.0]))
    tensor([0.0000, 0.0126])
    """,
)


def _positive_orders(s: Any) -> list[Any]:
    return [case(2, s.positive(3, 4)), case(1, s.positive()), case(0.5, s.positive(2, 1, 3))]


def _of_order(name: str, slope: Any) -> Any:
    """The primitive of a function of SciPy's that takes an order before x, and its kernel."""

    kernel = beyond_scipy(name)
    return elementwise(name, lambda x, order: kernel(order, x), [slope], "x"), kernel


_jv, _jv_kernel = _of_order("jv", lambda F, g, x, order: g * (F.jv(order - 1, x) - F.jv(order + 1, x)) * 0.5)
_yv, _yv_kernel = _of_order("yv", lambda F, g, x, order: g * (F.yv(order - 1, x) - F.yv(order + 1, x)) * 0.5)
_kv, _kv_kernel = _of_order("kv", lambda F, g, x, order: -g * (F.kv(order - 1, x) + F.kv(order + 1, x)) * 0.5)
_kve, _kve_kernel = _of_order("kve", lambda F, g, x, order: g * F.kve_derivative(x, order=order, n=1))


@operation(_jv_kernel, _orders)
def jv(order: float, x: Any) -> Tensor:
    """Bessel function of the first kind of this order, J(x).

    Args:
        order: Python number, a constant; where it is not whole, x must not be negative.
        x: floating tensor.

    >>> import hograd as ho
    >>> ho.special.jv(2, ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.1149])
    """
    return call(_jv, (as_floating(x, _jv),), {"order": order})


@operation(_yv_kernel, _positive_orders)
def yv(order: float, x: Any) -> Tensor:
    """Bessel function of the second kind of this order, Y(x); infinite at 0, nan below.

    Args:
        order: Python number, a constant.
        x: floating tensor.

    >>> import hograd as ho
    >>> ho.special.yv(2, ho.tensor([1.0]))
    tensor([-1.6507])
    """
    return call(_yv, (as_floating(x, _yv),), {"order": order})


@operation(_kv_kernel, _positive_orders)
def kv(order: float, x: Any) -> Tensor:
    """Modified Bessel function of the second kind of this order, K(x); infinite at 0, nan below.

    Args:
        order: Python number, a constant.
        x: floating tensor.

    >>> import hograd as ho
    >>> ho.special.kv(2, ho.tensor([1.0]))
    tensor([1.6248])
    """
    return call(_kv, (as_floating(x, _kv),), {"order": order})


@operation(_kve_kernel, _positive_orders)
def kve(order: float, x: Any) -> Tensor:
    """e**x times the modified Bessel function of the second kind of this order.

    Args:
        order: Python number, a constant.
        x: floating tensor.

    >>> import hograd as ho
    >>> ho.special.kve(2, ho.tensor([1.0]))
    tensor([4.4168])
    """
    return call(_kve, (as_floating(x, _kve),), {"order": order})


bessel_j0 = unary(
    "bessel_j0",
    beyond_scipy_of("j0", "jv", 0),
    lambda F, x: -F.bessel_j1(x),
    samples=anywhere,
    doc="""Bessel function of the first kind of order 0.

    >>> import hograd as ho
    >>> ho.special.bessel_j0(ho.tensor([1.0, 2.5]))
    tensor([ 0.7652, -0.0484])
    """,
)


bessel_j1 = unary(
    "bessel_j1",
    beyond_scipy_of("j1", "jv", 1),
    lambda F, x: (F.bessel_j0(x) - F.jv(2, x)) * 0.5,
    samples=anywhere,
    doc="""Bessel function of the first kind of order 1.

    >>> import hograd as ho
    >>> ho.special.bessel_j1(ho.tensor([1.0, 2.5]))
    tensor([0.4401, 0.4971])
    """,
)


bessel_y0 = unary(
    "bessel_y0",
    beyond_scipy_of("y0", "yv", 0),
    lambda F, x: -F.bessel_y1(x),
    samples=positive,
    doc="""Bessel function of the second kind of order 0.

    >>> import hograd as ho
    >>> ho.special.bessel_y0(ho.tensor([1.0, 2.5]))
    tensor([0.0883, 0.4981])
    """,
)


bessel_y1 = unary(
    "bessel_y1",
    beyond_scipy_of("y1", "yv", 1),
    lambda F, x: (F.bessel_y0(x) - F.yv(2, x)) * 0.5,
    samples=positive,
    doc="""Bessel function of the second kind of order 1.

    >>> import hograd as ho
    >>> ho.special.bessel_y1(ho.tensor([1.0, 2.5]))
    tensor([-0.7812, 0.1459])
    """,
)


modified_bessel_k0 = unary(
    "modified_bessel_k0",
    beyond_scipy_of("k0", "kv", 0),
    lambda F, x: -F.modified_bessel_k1(x),
    samples=positive,
    doc="""Modified Bessel function of the second kind of order 0.

    >>> import hograd as ho
    >>> ho.special.modified_bessel_k0(ho.tensor([1.0, 2.5]))
    tensor([0.4210, 0.0623])
    """,
)


modified_bessel_k1 = unary(
    "modified_bessel_k1",
    beyond_scipy_of("k1", "kv", 1),
    lambda F, x: (F.modified_bessel_k0(x) + F.kv(2, x)) * -0.5,
    samples=positive,
    doc="""Modified Bessel function of the second kind of order 1.

    >>> import hograd as ho
    >>> ho.special.modified_bessel_k1(ho.tensor([1.0, 2.5]))
    tensor([0.6019, 0.0739])
    """,
)


scaled_modified_bessel_k0 = unary(
    "scaled_modified_bessel_k0",
    scipy_function("k0e"),
    lambda F, x: F.kve_derivative(x, order=0, n=1),
    samples=positive,
    doc="""e**x modified_bessel_k0(x).

    >>> import hograd as ho
    >>> ho.special.scaled_modified_bessel_k0(ho.tensor([1.0, 2.5]))
    tensor([1.1445, 0.7595])
    """,
)


scaled_modified_bessel_k1 = unary(
    "scaled_modified_bessel_k1",
    scipy_function("k1e"),
    lambda F, x: F.kve_derivative(x, order=1, n=1),
    samples=positive,
    doc="""e**x modified_bessel_k1(x).

    >>> import hograd as ho
    >>> ho.special.scaled_modified_bessel_k1(ho.tensor([1.0, 2.5]))
    tensor([1.6362, 0.9002])
    """,
)


#: Where the third term of the asymptotic series is far below rounding.
_FAR = -1e5

#: From where on both are below the smallest float64.
_UNDERFLOW = 110.0


def _airy(x: Any, part: int) -> Any:
    """Ai or its derivative; where SciPy gives up: 0 to the right, two terms of the asymptotic series to the left."""
    z = np.asarray(x, np.float64)
    y = np.where(z > _UNDERFLOW, 0.0, scipy_function("airy")(z)[part])
    far = z < _FAR
    if np.any(far):
        with np.errstate(all="ignore"):
            size, zeta = np.abs(z), 2 / 3 * np.abs(z) ** 1.5
            cosine, sine = np.cos(zeta - np.pi / 4), np.sin(zeta - np.pi / 4)
            if part:
                wave = size**0.25 * (sine + 7 / 72 / zeta * cosine)
            else:
                wave = size**-0.25 * (cosine + 5 / 72 / zeta * sine)
        y = np.where(far, np.where(np.isinf(zeta) & (part == 0), 0.0, wave / np.sqrt(np.pi)), y)
    return scalarize(y.astype(x.dtype))


def _airy_kernel(x: Any, part: int) -> Any:
    return through_cpu(functools.partial(_airy, part=part), x)


_airy_slope = elementwise("airy_slope", lambda x: _airy_kernel(x, 1), [lambda F, g, x: g * x * F.airy_ai(x)], "x")
register("airy_slope", lambda x: call(_airy_slope, (x,), {}), lambda x: _airy_kernel(x, 1))

airy_ai = unary(
    "airy_ai",
    lambda x: _airy_kernel(x, 0),
    lambda F, x: F.airy_slope(x),
    samples=anywhere,
    doc="""Airy function Ai, the solution of  y'' = x y  that vanishes at inf.

    >>> import hograd as ho
    >>> ho.special.airy_ai(ho.tensor([0.0, 1.0, -2.0]))
    tensor([0.3550, 0.1353, 0.2274])
    """,
)


def _spherical_wave(x: Any, order: int) -> Any:
    z = np.asarray(x, np.float64)
    size = np.abs(z)
    # In order 0 sin(x) / x; else from J of half an order, which has no sign to the left of 0.
    with np.errstate(all="ignore"):
        wave = np.sin(z) / z if order == 0 else np.sqrt(np.pi / 2 / size) * _jv_kernel(order + 0.5, size)
    y = np.where(z == 0, float(order == 0), np.where(np.isinf(z), 0.0, wave))
    return scalarize(np.where((z < 0) & (order % 2 == 1), -y, y).astype(x.dtype))


def _spherical_kernel(x: Any, order: int) -> Any:
    return through_cpu(functools.partial(_spherical_wave, order=order), x)


def _spherical_slope(F: Any, g: Any, x: Any, order: int) -> Any:
    above = (order + 1) * F.spherical_bessel(x, order=order + 1)
    return g * ((order * F.spherical_bessel(x, order=order - 1) - above) / (2 * order + 1) if order else -above)


_spherical = elementwise("spherical_bessel", _spherical_kernel, [_spherical_slope], "x")
register("spherical_bessel", lambda x, order: call(_spherical, (x,), {"order": order}), _spherical_kernel)

spherical_bessel_j0 = unary(
    "spherical_bessel_j0",
    lambda x: _spherical_kernel(x, 0),
    lambda F, x: -F.spherical_bessel(x, order=1),
    samples=anywhere,
    doc="""Spherical Bessel function of the first kind of order 0,  sin(x) / x,  which is 1 at 0.

    >>> import hograd as ho
    >>> ho.special.spherical_bessel_j0(ho.tensor([0.0, 1.0]))
    tensor([1.0000, 0.8415])
    """,
)
