"""Trigonometric and hyperbolic functions, and functions of a plane's two coordinates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core.declare import binary, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.fast import as_floating
from hograd.core.primitive import register
from hograd.core.tensor import Tensor
from hograd.ops.samples import anywhere, inside_one, pairs

__all__ = [
    "atan2",
    "cosh",
    "deg2rad",
    "hypot",
    "rad2deg",
    "sinc",
    "sinh",
    "tan",
]

tan = unary(
    "tan",
    np.tan,
    lambda F, y: y * y + 1,
    samples=inside_one,
    doc="""Tangent of x in radians.

    >>> import hograd as ho
    >>> ho.tan(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 1.5574])
    """,
)


sinh = unary(
    "sinh",
    np.sinh,
    lambda F, x: F.cosh(x),
    samples=anywhere,
    doc="""Hyperbolic sine  (e**x - e**-x) / 2.

    >>> import hograd as ho
    >>> ho.sinh(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 1.1752])
    """,
)


cosh = unary(
    "cosh",
    np.cosh,
    lambda F, x: F.sinh(x),
    samples=anywhere,
    doc="""Hyperbolic cosine  (e**x + e**-x) / 2.

    >>> import hograd as ho
    >>> ho.cosh(ho.tensor([0.0, 1.0]))
    tensor([1.0000, 1.5431])
    """,
)


atan2 = binary(
    "atan2",
    np.arctan2,
    (
        lambda F, g, a, b: g * F.where((a == 0) & (b == 0), 0.0, _over_squared_radius(F, b, a, b)),
        lambda F, g, a, b: -g * F.where((a == 0) & (b == 0), 0.0, _over_squared_radius(F, a, a, b)),
    ),
    samples=pairs,
    floating=True,
    doc="""Angle in radians of the point with the height a and the width b, between -pi and pi.

    At the origin, where there is no angle, all derivatives are 0.

    >>> import hograd as ho
    >>> ho.atan2(ho.tensor([1.0, 1.0]), ho.tensor([1.0, -1.0]))
    tensor([0.7854, 2.3562])
    """,
)


def _over_squared_radius(F: Any, x: Any, a: Any, b: Any) -> Any:
    """x / (a**2 + b**2) without overflow; at the origin, which `where` leaves out, it is finite."""
    radius = F.where((a == 0) & (b == 0), 1.0, F.hypot(a, b))
    return x / radius / radius


def _direction_kernel(a: Any, b: Any) -> Any:
    """a / hypot(a, b), and 0 at the origin."""
    y = np.hypot(a, b)
    return a / np.where(y == 0, math.inf, y).astype(y.dtype)


def _over_distance(F: Any, x: Any, a: Any, b: Any) -> Any:
    y = F.hypot(a, b)
    return x / F.where(y == 0, math.inf, y)


# By products of the two directions all derivatives of the distance are written: of the difference
# 1 / y - a**2 / y**3  nothing is left for b far below a.
_direction = elementwise(
    "direction",
    _direction_kernel,
    (
        lambda F, g, a, b: _over_distance(F, g * F.square(F.direction(b, a)), a, b),
        lambda F, g, a, b: _over_distance(F, -g * F.direction(a, b) * F.direction(b, a), a, b),
    ),
    "a b",
)
register("direction", lambda a, b: call(_direction, (a, b), {}), _direction_kernel)


hypot = binary(
    "hypot",
    np.hypot,
    (
        lambda F, a, b: F.direction(a, b),
        lambda F, a, b: F.direction(b, a),
    ),
    samples=pairs,
    floating=True,
    doc="""Distance from the origin  sqrt(a**2 + b**2), without overflow; all derivatives at the origin are 0.

    >>> import hograd as ho
    >>> ho.hypot(ho.tensor([3.0, 1e200]), ho.tensor([4.0, 0.0]))
    tensor([ 5.0000e+00, 1.0000e+200])
    """,
)


deg2rad = unary(
    "deg2rad",
    lambda x: x * (math.pi / 180),
    math.pi / 180,
    samples=anywhere,
    doc="""Degrees in radians  x pi / 180.

    >>> import hograd as ho
    >>> ho.deg2rad(ho.tensor([0.0, 180.0]))
    tensor([0.0000, 3.1416])
    """,
)


rad2deg = unary(
    "rad2deg",
    lambda x: x * (180 / math.pi),
    180 / math.pi,
    samples=anywhere,
    doc="""Radians in degrees  180 x / pi.

    >>> import hograd as ho
    >>> ho.rad2deg(ho.tensor([0.0, 1.0]))
    tensor([ 0.0000, 57.2958])
    """,
)


def _sinc_kernel(x: Any, order: int = 0) -> Any:
    """The derivative of this order of sin(z) / z with respect to x, where z = pi x.

    From  z f_n + n f_(n-1) = sin(z + n pi / 2), which loses digits for small z; there the series
    f_n = sum over even k >= n of  (-1)**(k/2) z**(k-n) / ((k+1) (k-n)!).
    """
    if x.dtype == np.float16:
        # Where pi x is not a number any more, the answer is.
        return _sinc_kernel(x.astype(np.float32), order).astype(x.dtype)
    z = x * math.pi
    small = np.abs(z) < order + 2
    far = np.where(small, 1.0, z)
    # Reduced by whole numbers, so that the zeros there are met.
    whole = np.round(x)
    phase, flip = (x - whole) * math.pi, 1 - 2 * np.mod(whole, 2)
    value = flip * np.sin(phase) / far
    for n in range(1, order + 1):
        wave = (np.sin, np.cos, np.sin, np.cos)[n % 4](phase) * flip * (1, 1, -1, -1)[n % 4]
        value = (wave - n * value) / far
    near = np.where(small, z, 0.0)
    series = np.zeros_like(z)
    for k in range(2 * (order + 15), order - 1, -1):
        coefficient = 0.0 if k % 2 else (-1) ** (k // 2) / ((k + 1) * math.factorial(k - order))
        series = series * near + coefficient
    answer = np.where(small, series, value) * math.pi**order
    return scalarize(answer)


_sinc = elementwise("sinc", _sinc_kernel, [lambda F, g, x, order: g * F.sinc_derivative(x, order + 1)], "x")


def _sinc_derivative(x: Any, order: int) -> Tensor:
    return call(_sinc, (x,), {"order": order})


register("sinc_derivative", _sinc_derivative, _sinc_kernel)


@operation(_sinc_kernel, anywhere)
def sinc(x: Any) -> Tensor:
    """Normalised sinc  sin(pi x) / (pi x), 1 at 0; every derivative is exact there too.

    Args:
        x: floating tensor.

    >>> import hograd as ho
    >>> ho.sinc(ho.tensor([0.0, 0.5, 2.0]))
    tensor([1.0000, 0.6366, 0.0000])
    """
    return call(_sinc, (as_floating(x, _sinc),), {"order": 0})
