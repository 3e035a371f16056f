"""Special functions: error functions, the normal distribution, entropy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core.declare import case, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.fast import as_floating
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.ops.samples import anywhere, inside_one, positive, probabilities
from hograd.ops.scipy import scipy_function

__all__ = ["erf", "erfc", "erfinv", "logit"]


def _bell(F: Any, x: Any, width: float) -> Any:
    """e**-(width x)**2, from x within the limits beyond which it is 0: so no derivative multiplies that by infinity."""
    z = F.clip(x, -28.0 / width, 28.0 / width)
    return F.exp(z * z * -(width * width))


erf = unary(
    "erf",
    scipy_function("erf"),
    lambda F, x: _bell(F, x, 1.0) * (2 / math.sqrt(math.pi)),
    samples=anywhere,
    doc="""Error function  2 / sqrt(pi)  times the integral of e**(-t**2) from 0 to x.

    >>> import hograd as ho
    >>> ho.erf(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8427])
    """,
)


erfc = unary(
    "erfc",
    scipy_function("erfc"),
    lambda F, x: _bell(F, x, 1.0) * (-2 / math.sqrt(math.pi)),
    samples=anywhere,
    doc="""1 - erf(x), precise for large x.

    >>> import hograd as ho
    >>> ho.erfc(ho.tensor([0.0, 1.0]))
    tensor([1.0000, 0.1573])
    """,
)


erfcx = unary(
    "erfcx",
    scipy_function("erfcx"),
    lambda F, x: F.erfcx_derivative(x, order=1),
    samples=anywhere,
    doc="""e**(x**2) erfc(x), which does not vanish for large x.

    >>> import hograd as ho
    >>> ho.special.erfcx(ho.tensor([0.0, 30.0]))
    tensor([1.0000, 0.0188])
    """,
)


erfinv = unary(
    "erfinv",
    scipy_function("erfinv"),
    lambda F, x: F.erfinv_slope(x),
    samples=inside_one,
    doc="""Inverse of `erf`; infinite at -1 and 1, where its derivative is inf, nan beyond.

    >>> import hograd as ho
    >>> ho.erfinv(ho.tensor([0.0, 0.5]))
    tensor([0.0000, 0.4769])
    """,
)


_erfcx, _right, _log_right = scipy_function("erfcx"), scipy_function("ndtr"), scipy_function("log_ndtr")


def _tail(x: Any) -> Any:
    """ndtr of x <= 0 in float64, by the square of x in two parts, for the exponential magnifies its rounding error."""
    high = np.trunc(x * 16) / 16
    return np.exp(high * high * -0.5) * np.exp((x - high) * (x + high) * -0.5) * _erfcx(x * -math.sqrt(0.5)) / 2


def _ndtr_kernel(x: Any) -> Any:
    z = x.astype(np.float64)
    left = (z < -1) & (z > -40)
    return scalarize(np.where(left, _tail(np.where(left, z, -1.0)), _right(z)).astype(x.dtype))


def _log_ndtr_kernel(x: Any) -> Any:
    z = x.astype(np.float64)
    right = (z > 1) & (z < 40)
    return scalarize(np.where(right, np.log1p(-_tail(np.where(right, -z, -1.0))), _log_right(z)).astype(x.dtype))


ndtr = unary(
    "ndtr",
    _ndtr_kernel,
    lambda F, x: _bell(F, x, math.sqrt(0.5)) * (1 / math.sqrt(2 * math.pi)),
    samples=anywhere,
    doc="""Distribution function of the standard normal  erfc(-x / sqrt(2)) / 2.

    >>> import hograd as ho
    >>> ho.special.ndtr(ho.tensor([0.0, 1.0]))
    tensor([0.5000, 0.8413])
    """,
)


def _log_ndtr_slope(F: Any, x: Any) -> Any:
    """Density over distribution function, each side of 0 by what keeps its digits there."""
    below, above = F.where(x < 0, x, 0.0), F.where(x < 0, 0.0, x)
    # Of  -x**2 / 2 + ln erfcx(-x / sqrt(2)), whose second part alone varies for large -x from the second order on.
    left = -below - math.sqrt(0.5) * F.erfcx_ratio(below * -math.sqrt(0.5), order=1)
    right = _bell(F, above, math.sqrt(0.5)) / math.sqrt(2 * math.pi) / F.ndtr(above)
    return F.where(x < 0, left, right)


log_ndtr = unary(
    "log_ndtr",
    _log_ndtr_kernel,
    _log_ndtr_slope,
    samples=anywhere,
    doc="""ln ndtr(x), precise where ndtr(x) would be 0 or 1.

    >>> import hograd as ho
    >>> ho.special.log_ndtr(ho.tensor([-10.0, 0.0]))
    tensor([-53.2313,  -0.6931])
    """,
)


ndtri = unary(
    "ndtri",
    scipy_function("ndtri"),
    lambda F, x: F.ndtri_slope(x),
    samples=probabilities,
    doc="""Inverse of `ndtr`, the quantiles of the standard normal; infinite at 0 and 1, nan beyond.

    >>> import hograd as ho
    >>> ho.special.ndtri(ho.tensor([0.5, 0.975]))
    tensor([0.0000, 1.9600])
    """,
)


entr = unary(
    "entr",
    scipy_function("entr"),
    lambda F, x: -F.log(x) - 1,
    samples=positive,
    doc="""Elementwise entropy  -x ln x, 0 at 0, where its derivative is inf, and -inf below.

    >>> import hograd as ho
    >>> ho.special.entr(ho.tensor([0.0, 0.5, 2.0]))
    tensor([ 0.0000,  0.3466, -1.3863])
    """,
)


def _logit_pull(F: Any, g: Any, x: Any) -> Any:
    """nan where the value is."""
    return F.where((x < 0) | (x > 1), math.nan, g / x + g / (1 - x))


_logit = elementwise("logit", lambda x: np.log(x) - np.log1p(-x), [_logit_pull], "x")


def _logit_kernel(x: Any, eps: Any = None) -> Any:
    return _logit.kernel(x if eps is None else np.clip(x, eps, 1 - eps))


@operation(_logit_kernel, lambda s: [*probabilities(s), case(s.positive(3, 4) / 2 - 0.2, 0.123)])
def logit(x: Any, eps: float | None = None) -> Tensor:
    """Inverse of the logistic function  ln(x / (1 - x)); infinite at 0 and 1, nan beyond.

    Args:
        x: floating tensor of probabilities.
        eps: limits x to the range from eps to 1 - eps first, beyond which the derivative is 0; None for no limits.

    >>> import hograd as ho
    >>> ho.logit(ho.tensor([0.5, 0.8808]))
    tensor([0.0000, 2.0000])
    """
    x = as_floating(x, _logit)
    return call(_logit, (x if eps is None else ops.clip(x, eps, 1 - eps),), {})
