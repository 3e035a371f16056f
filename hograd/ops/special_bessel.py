"""Bessel functions of both kinds, and the modified ones."""

from __future__ import annotations

from typing import Any

from hograd.core.declare import case, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.fast import as_floating
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
