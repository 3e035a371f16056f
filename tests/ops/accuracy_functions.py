"""The functions whose accuracy is stated, as functions of one tensor, and where their recorded values are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import hograd as ho
from hograd import special

RECORDED = Path(__file__).parent / "accuracy_values.npz"
DTYPES = {"float64": np.float64, "float32": np.float32, "float16": np.float16}

_SIZES = [0.0, 1e-300, 1e-30, 1e-8, 1e-3, 0.1, 0.6, 1.0, 1.5, 2.7, 6.0, 15.0, 25.0, 40.0, 300.0, 3e3, 5e4, 1e7, 1e16]
_SIZES += [1e30, 1e100, 1e200, 1e300]
_POSITIVE = [x for x in _SIZES if x]
_BELOW_ONE = [1e-300, 1e-30, 1e-8, 1e-3, 0.1, 0.45, 0.5, 0.6, 0.75, 0.9, 0.97, 0.999, 1 - 2.0**-20]

#: Where the functions are looked at; each dtype takes the numbers that it has, rounded.
DOMAINS = {
    "real": [-x for x in _POSITIVE[::-1]] + _SIZES,
    "not negative": _SIZES,
    "positive": _POSITIVE,
    "inside one": [-x for x in _BELOW_ONE[::-1]] + [0.0] + _BELOW_ONE,
    "probabilities": _BELOW_ONE,
    "above one": [1 + 2.0**-20, 1 + 2.0**-10, *[x for x in _SIZES if x > 1]],
    "not one": [x for x in _SIZES if x > 1],
    "off the pole": [x for x in _SIZES if x >= 0.1],
    "off the poles": [-30.25, -5.5, -1.3, -0.4, *_POSITIVE],
}  # fmt: skip


def points(domain: str, dtype: Any) -> np.ndarray:
    """The numbers of a domain that a dtype has."""
    with np.errstate(over="ignore", under="ignore"):
        x = np.array(DOMAINS[domain]).astype(dtype)
    kept = np.isfinite(x) & ((x != 0) | (np.array(DOMAINS[domain]) == 0))
    inside = np.abs(x) < 1 if domain in ("inside one", "probabilities") else x > 1 if domain == "above one" else kept
    return np.unique(x[kept & inside])


FUNCTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "exp": ("real", ho.exp),
    "exp2": ("real", ho.exp2),
    "expm1": ("real", ho.expm1),
    "log": ("positive", ho.log),
    "log2": ("positive", ho.log2),
    "log10": ("positive", ho.log10),
    "log1p": ("not negative", ho.log1p),
    "sqrt": ("positive", ho.sqrt),
    "rsqrt": ("positive", ho.rsqrt),
    "reciprocal": ("positive", ho.reciprocal),
    "pow 1.5": ("positive", lambda x: x**1.5),
    "pow -2": ("positive", lambda x: x**-2),
    "pow of 2.5": ("real", lambda x: 2.5**x),
    "pow of a tensor": ("positive", lambda x: ho.pow(x, ho.full_like(x, 1.5))),
    "sin": ("real", ho.sin),
    "cos": ("real", ho.cos),
    "tan": ("real", ho.tan),
    "sinh": ("real", ho.sinh),
    "cosh": ("real", ho.cosh),
    "tanh": ("real", ho.tanh),
    "asin": ("inside one", ho.asin),
    "acos": ("inside one", ho.acos),
    "atan": ("real", ho.atan),
    "asinh": ("real", ho.asinh),
    "acosh": ("above one", ho.acosh),
    "atanh": ("inside one", ho.atanh),
    "atan2": ("real", lambda x: ho.atan2(x, ho.ones_like(x))),
    "atan2 by the width": ("real", lambda x: ho.atan2(ho.ones_like(x), x)),
    "hypot": ("real", lambda x: ho.hypot(x, ho.ones_like(x))),
    "sinc": ("real", ho.sinc),
    "sigmoid": ("real", ho.sigmoid),
    "logsigmoid": ("real", ho.nn.functional.logsigmoid),
    "softplus": ("real", ho.softplus),
    "logaddexp": ("real", lambda x: ho.logaddexp(x, ho.zeros_like(x))),
    "logaddexp2": ("real", lambda x: ho.logaddexp2(x, ho.zeros_like(x))),
    "logsumexp": ("real", lambda x: ho.logsumexp(ho.stack([x, ho.zeros_like(x)]), 0)),
    "softmax": ("real", lambda x: ho.softmax(ho.stack([x, ho.zeros_like(x)]), 0)[0]),
    "log_softmax": ("real", lambda x: ho.log_softmax(ho.stack([x, ho.zeros_like(x)]), 0)[0]),
    "silu": ("real", ho.nn.functional.silu),
    "gelu": ("real", ho.nn.functional.gelu),
    "gelu by tanh": ("real", lambda x: ho.nn.functional.gelu(x, approximate="tanh")),
    "mish": ("real", ho.nn.functional.mish),
    "softsign": ("positive", ho.nn.functional.softsign),
    "tanhshrink": ("real", ho.nn.functional.tanhshrink),
    "elu": ("positive", lambda x: ho.nn.functional.elu(-x)),
    "xlogy": ("positive", lambda x: ho.xlogy(2.5, x)),
    "xlog1py": ("positive", lambda x: special.xlog1py(2.5, x)),
    "entr": ("positive", special.entr),
    "logit": ("probabilities", ho.logit),
    "erf": ("real", ho.erf),
    "erfc": ("real", ho.erfc),
    "erfcx": ("real", special.erfcx),
    "erfinv": ("inside one", ho.erfinv),
    "ndtr": ("real", special.ndtr),
    "log_ndtr": ("real", special.log_ndtr),
    "ndtri": ("probabilities", special.ndtri),
    "gammaln": ("off the poles", special.gammaln),
    "digamma": ("off the poles", special.digamma),
    "polygamma 1": ("off the poles", lambda x: special.polygamma(1, x)),
    "polygamma 2": ("off the poles", lambda x: special.polygamma(2, x)),
    "mvlgamma 3": ("not one", lambda x: special.multigammaln(x, 3)),
    "betaln 2.5": ("positive", lambda x: special.betaln(2.5, x)),
    "zeta": ("not one", lambda x: special.zeta(x, 1.0)),
    "zeta 2.5": ("positive", lambda x: special.zeta(2.5, x)),
    "gammainc 2.5": ("positive", lambda x: special.gammainc(2.5, x)),
    "gammaincc 2.5": ("positive", lambda x: special.gammaincc(2.5, x)),
    "betainc 2.5 1.5": ("probabilities", lambda x: special.betainc(2.5, 1.5, x)),
    "bessel_j0": ("real", special.bessel_j0),
    "bessel_j1": ("real", special.bessel_j1),
    "jv 2": ("real", lambda x: special.jv(2, x)),
    "bessel_y0": ("off the pole", special.bessel_y0),
    "bessel_y1": ("off the pole", special.bessel_y1),
    "yv 2": ("off the pole", lambda x: special.yv(2, x)),
    "i0": ("real", special.i0),
    "i1": ("real", special.i1),
    "iv 2": ("real", lambda x: special.iv(2, x)),
    "iv 0.5": ("positive", lambda x: special.iv(0.5, x)),
    "i0e": ("positive", special.i0e),
    "i1e": ("positive", special.i1e),
    "ive 2": ("positive", lambda x: special.ive(2, x)),
    "ive 0.5": ("positive", lambda x: special.ive(0.5, x)),
    "modified_bessel_k0": ("positive", special.modified_bessel_k0),
    "modified_bessel_k1": ("positive", special.modified_bessel_k1),
    "kv 2": ("positive", lambda x: special.kv(2, x)),
    "kv 0.5": ("positive", lambda x: special.kv(0.5, x)),
    "scaled_modified_bessel_k0": ("positive", special.scaled_modified_bessel_k0),
    "scaled_modified_bessel_k1": ("positive", special.scaled_modified_bessel_k1),
    "kve 2": ("positive", lambda x: special.kve(2, x)),
    "kve 0.5": ("positive", lambda x: special.kve(0.5, x)),
}
