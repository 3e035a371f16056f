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
from hograd.ops.polynomials import (
    chebyshev_polynomial_t,
    chebyshev_polynomial_u,
    chebyshev_polynomial_v,
    chebyshev_polynomial_w,
    hermite_polynomial_h,
    hermite_polynomial_he,
    laguerre_polynomial_l,
    legendre_polynomial_p,
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
)
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
    airy_ai,
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
    spherical_bessel_j0,
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
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "betainc",
    "betaln",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
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
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "iv",
    "ive",
    "jv",
    "kv",
    "kve",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
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
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
    "sinc",
    "softmax",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "yv",
    "zeta",
]
