"""Special functions, under the names of `torch.special` and `scipy.special`.

Each is elementwise, with derivatives of every order. What PyTorch has at the top level too, `hograd` has there. How
precise they and the other elementwise functions are over the range of each dtype, to the third derivative, stands in
the table `ACCURACY`:

>>> from hograd.special import ACCURACY
>>> ACCURACY["erfcx"]
Accuracy(units=(4, 3, 4, 3), relative_to='answer')

The largest errors are those beside a zero of a derivative, of SciPy's `gammainc` beside 0 and `gammaincc` far out, of
`log_ndtr` and its like, whose derivatives hold e**(-x**2 / 2), and of all that is relative to 1: a softmax, sigmoid or
tanh that has come close to 1 has lost what its derivative is made of. Other orders and parameters than the table's
are about as precise. Within a factor of 4 of a dtype's largest number, derivatives may be infinite.
"""

from hograd.ops.accuracy import ACCURACY
from hograd.ops.elementwise import expm1, log1p, sigmoid
from hograd.ops.exponentials import exp2, xlog1py, xlogy
from hograd.ops.reduce import logsumexp
from hograd.ops.rounding import round
from hograd.ops.special import (
    entr,
    erf,
    erfc,
    erfcx,
    erfinv,
    log_ndtr,
    logit,
    ndtr,
    ndtri,
)
from hograd.ops.special_bessel import (
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    i0,
    i0e,
    i1,
    i1e,
    iv,
    ive,
    jv,
    kv,
    kve,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    yv,
)
from hograd.ops.special_gamma import betaln, digamma, gammaln, mvlgamma, polygamma, zeta
from hograd.ops.special_incomplete import betainc, gammainc, gammaincc
from hograd.ops.stable import log_softmax, softmax
from hograd.ops.trigonometry import sinc

modified_bessel_i0, modified_bessel_i1 = i0, i1
expit, psi, lgamma, multigammaln = sigmoid, digamma, gammaln, mvlgamma

__all__ = [
    "ACCURACY",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "betainc",
    "betaln",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "iv",
    "ive",
    "jv",
    "kv",
    "kve",
    "lgamma",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
    "yv",
    "zeta",
]
