"""What elementwise and special functions compute, written down once more, by other formulas where there are some."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import integrate, special, stats


def _each(function: Any) -> Any:
    """A function of Python numbers for arrays."""
    return lambda *args: np.vectorize(function, otypes=[float])(*args)[()]


def _softplus(x: Any, beta: Any = 1, threshold: Any = math.inf) -> Any:
    y = (np.log1p(np.exp(-np.abs(beta * x))) + np.maximum(beta * x, 0)) / beta
    return np.where(beta * x > threshold, x, y)[()]


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return x / (1 + np.exp(-2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x * (1 + special.erf(x / np.sqrt(2))) / 2


def _elu(x: Any, alpha: Any = 1.0) -> Any:
    return np.maximum(x, 0) + alpha * (np.exp(np.minimum(x, 0)) - 1)


def _celu(x: Any, alpha: Any = 1.0) -> Any:
    return np.maximum(x, 0) + np.minimum(0, alpha * (np.exp(x / alpha) - 1))


def _hardtanh(x: Any, min_val: Any = -1.0, max_val: Any = 1.0) -> Any:
    return np.clip(x, min_val, max_val)


def _prelu(x: Any, weight: Any) -> Any:
    slopes = np.reshape(weight, [-1 if axis == 1 and np.size(weight) > 1 else 1 for axis in range(np.ndim(x))])
    return np.maximum(x, 0) + slopes * np.minimum(x, 0)


def _glu(x: Any, axis: int = -1) -> Any:
    a, b = np.split(x, 2, axis)
    return a / (1 + np.exp(-b))


def _logit(x: Any, eps: Any = 0.0) -> Any:
    x = np.clip(x, eps, 1 - eps)
    return 2 * np.arctanh(2 * x - 1)


def _each_frexp(x: Any) -> Any:
    """By the logarithm, away from powers of 2."""
    exponent = np.floor(np.log2(np.abs(x))) + 1
    return x / 2**exponent, exponent.astype(np.int32)


def _airy(x: float) -> float:
    """By Bessel functions of order 1/3."""
    size, z = abs(x), 2 / 3 * abs(x) ** 1.5
    if x > 0:
        return math.sqrt(size / 3) / math.pi * special.kv(1 / 3, z)
    return math.sqrt(size) / 3 * (special.jv(1 / 3, z) + special.jv(-1 / 3, z))


#: By cosines of complex angles, and SciPy's.
_POLYNOMIALS = [
    ("chebyshev", "t", lambda n, x: np.cos(n * np.arccos(x + 0j)).real),
    ("chebyshev", "u", lambda n, x: (np.sin((n + 1) * (t := np.arccos(x + 0j))) / np.sin(t)).real),
    ("chebyshev", "v", lambda n, x: (np.cos((n + 0.5) * (t := np.arccos(x + 0j))) / np.cos(t / 2)).real),
    ("chebyshev", "w", lambda n, x: (np.sin((n + 0.5) * (t := np.arccos(x + 0j))) / np.sin(t / 2)).real),
    ("hermite", "h", special.eval_hermite),
    ("hermite", "he", special.eval_hermitenorm),
    ("laguerre", "l", special.eval_laguerre),
    ("legendre", "p", special.eval_legendre),
]


def _at_degrees(function: Any, shifted: bool = False) -> Any:
    def called(x: Any, n: Any) -> Any:
        degree = np.trunc(n)
        return np.where(degree < 0, 0.0, function(degree.astype(int), 2 * x - 1 if shifted else x))[()]

    return called


def _bessel(order: float, x: Any) -> Any:
    """The power series."""
    terms = [(x / 2) ** (2 * k + order) / (math.factorial(k) * math.gamma(k + order + 1)) for k in range(40)]
    return sum(terms)


def _polygamma(n: int, x: float) -> float:
    """The sum over the poles up to 30, and the asymptotic series beyond."""
    if n == 0:
        return float(special.digamma(x))
    shift = 30
    near = sum((x + k) ** -(n + 1) for k in range(shift)) * math.factorial(n)
    z = x + shift
    far = math.factorial(n - 1) / z**n + math.factorial(n) / (2 * z ** (n + 1))
    bernoulli = special.bernoulli(14)
    far += sum(
        bernoulli[2 * k] * math.factorial(2 * k + n - 1) / (math.factorial(2 * k) * z ** (2 * k + n))
        for k in range(1, 7)
    )
    return (-1) ** (n + 1) * (near + far)


def _hurwitz(s: float, q: float) -> float:
    head = sum((k + q) ** -s for k in range(30))
    z = q + 30
    tail = z ** (1 - s) / (s - 1) + z**-s / 2
    bernoulli = special.bernoulli(14)
    tail += sum(
        bernoulli[2 * k] / math.factorial(2 * k) * math.gamma(s + 2 * k - 1) / math.gamma(s) * z ** (1 - s - 2 * k)
        for k in range(1, 7)
    )
    return head + tail


def _i0(x: float) -> float:
    return integrate.quad(lambda t: math.exp(x * math.cos(t)) / math.pi, 0, math.pi, epsabs=1e-13)[0]


def _i1(x: float) -> float:
    return integrate.quad(lambda t: math.exp(x * math.cos(t)) * math.cos(t) / math.pi, 0, math.pi, epsabs=1e-13)[0]


def _hankel(part: str) -> Any:
    return lambda order, x: getattr(special.hankel1(order, x), part)


def _decaying(order: float, x: Any) -> Any:
    """The integral over t > 0 of  e**(-x cosh t) cosh(order t), by a sum that converges double-exponentially."""
    t = np.linspace(0, 12, 4001)
    values = np.exp(-np.multiply.outer(x, np.cosh(t))) * np.cosh(order * t)
    return (values.sum(-1) - values[..., 0] / 2) * t[1]


ELEMENTWISE: dict[str, Any] = {
    "softplus": _softplus,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "atan2": np.arctan2,
    "rsqrt": lambda x: x**-0.5,
    "xlogy": lambda a, b: a * np.log(b),
    "xlog1py": lambda a, b: a * np.log(1 + b),
    "frac": lambda x: np.modf(x)[0],
    "round": lambda x, decimals=0: np.floor(x * 10**decimals + 0.5) / 10**decimals,
    "lerp": lambda start, end, weight: (1 - np.asarray(weight)) * start + weight * end,
    "addcmul": lambda x, tensor1, tensor2, value=1: x + value * tensor1 * tensor2,
    "addcdiv": lambda x, tensor1, tensor2, value=1: x + value * tensor1 / tensor2,
    "gelu": _gelu,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "logsigmoid": lambda x: np.log(special.expit(x)),
    "softsign": lambda x: x / (np.abs(x) + 1),
    "tanhshrink": lambda x: x - np.tanh(x),
    "elu": _elu,
    "selu": lambda x: 1.0507009873554805 * _elu(x, 1.6732632423543772),
    "celu": _celu,
    "leaky_relu": lambda x, negative_slope=0.01: np.maximum(x, 0) + negative_slope * np.minimum(x, 0),
    "hardtanh": _hardtanh,
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hardshrink": lambda x, lambd=0.5: np.where(np.abs(x) > lambd, x, 0.0),
    "softshrink": lambda x, lambd=0.5: np.sign(x) * np.maximum(np.abs(x) - lambd, 0),
    "threshold": lambda x, threshold, value: np.where(x > threshold, x, value),
    "prelu": _prelu,
    "glu": _glu,
    "erf": _each(math.erf),
    "erfc": _each(math.erfc),
    "erfcx": _each(lambda x: math.exp(x * x) * math.erfc(x)),
    "erfinv": lambda x: special.ndtri((x + 1) / 2) / np.sqrt(2),
    "ndtr": _each(lambda x: math.erfc(-x / math.sqrt(2)) / 2),
    "log_ndtr": _each(lambda x: math.log(math.erfc(-x / math.sqrt(2)) / 2)),
    "ndtri": lambda x: special.erfinv(2 * x - 1) * np.sqrt(2),
    "entr": lambda x: -x * np.log(x),
    "logit": _logit,
    "iv": _bessel,
    "ive": lambda order, x: _bessel(order, x) * np.exp(-np.abs(x)),
    "i0": _each(_i0),
    "i1": _each(_i1),
    "i0e": _each(lambda x: _i0(x) * math.exp(-abs(x))),
    "i1e": _each(lambda x: _i1(x) * math.exp(-abs(x))),
    "jv": lambda order, x: np.where(x < 0, np.cos(np.pi * order), 1.0) * _hankel("real")(order, np.abs(x)),
    "yv": _hankel("imag"),
    "kv": _decaying,
    "kve": lambda order, x: _decaying(order, x) * np.exp(x),
    "frexp": _each_frexp,
    "airy_ai": _each(_airy),
    "spherical_bessel_j0": lambda x: np.sin(x) / x,
    **{f"{name}_polynomial_{kind}": _at_degrees(f) for name, kind, f in _POLYNOMIALS},
    **{f"shifted_chebyshev_polynomial_{k}": _at_degrees(f, True) for name, k, f in _POLYNOMIALS if name == "chebyshev"},
    "bessel_j0": lambda x: _hankel("real")(0, np.abs(x)),
    "bessel_j1": lambda x: np.sign(x) * _hankel("real")(1, np.abs(x)),
    "bessel_y0": lambda x: _hankel("imag")(0, x),
    "bessel_y1": lambda x: _hankel("imag")(1, x),
    "modified_bessel_k0": lambda x: _decaying(0, x),
    "modified_bessel_k1": lambda x: _decaying(1, x),
    "scaled_modified_bessel_k0": lambda x: _decaying(0, x) * np.exp(x),
    "scaled_modified_bessel_k1": lambda x: _decaying(1, x) * np.exp(x),
    "gammaln": _each(math.lgamma),
    "digamma": special.psi,
    "polygamma": _each(_polygamma),
    "betaln": _each(lambda a, b: math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)),
    "gammainc": lambda a, b: stats.gamma(a).cdf(b),
    "gammaincc": lambda a, b: stats.gamma(a).sf(b),
    "betainc": lambda a, b, x: stats.beta(a, b).cdf(x),
    "zeta": _each(_hurwitz),
}
