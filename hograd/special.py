"""Special functions, under the names of `torch.special` and `scipy.special`.

Each is elementwise, with derivatives of every order. What PyTorch has at the top level too, `hograd` has there.
"""

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
    i0,
    i0e,
    i1,
    i1e,
    iv,
    ive,
    log_ndtr,
    logit,
    ndtr,
    ndtri,
)
from hograd.ops.special_gamma import betaln, digamma, gammaln, mvlgamma, polygamma, zeta
from hograd.ops.special_incomplete import betainc, gammainc, gammaincc
from hograd.ops.stable import log_softmax, softmax
from hograd.ops.trigonometry import sinc

expit, psi, lgamma, multigammaln = sigmoid, digamma, gammaln, mvlgamma

__all__ = [
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
    "lgamma",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
    "zeta",
]
