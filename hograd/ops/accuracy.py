"""How precise elementwise functions are: the one table of it, which the tests hold."""

from __future__ import annotations

from typing import NamedTuple


class Accuracy(NamedTuple):
    """How far a function's answers are from the exact ones at most, over the range of each dtype.

    Attributes:
        units: of the value and of the first, second and third derivative, in units of the dtype's `eps` times what they
            are relative to.
        relative_to: "answer", the exact answer itself; "beside", where the function or its derivative crosses 0, the
            greater of it and of x times the next derivative or the one before over x; "one", the greater of it and 1.
    """

    units: tuple[float, float, float, float]
    relative_to: str = "answer"


ACCURACY: dict[str, Accuracy] = {
    "exp": Accuracy((1.5, 1.5, 1.5, 1.5)),
    "exp2": Accuracy((1.5, 1.5, 2, 3)),
    "expm1": Accuracy((1, 1.5, 1.5, 1.5)),
    "log": Accuracy((1, 1, 2, 1.5)),
    "log2": Accuracy((1, 1.5, 3, 4)),
    "log10": Accuracy((1.5, 2, 3, 3)),
    "log1p": Accuracy((1, 1, 3, 3)),
    "sqrt": Accuracy((1, 1.5, 4, 6)),
    "rsqrt": Accuracy((1.5, 4, 6, 8)),
    "reciprocal": Accuracy((1, 2, 3, 4)),
    "pow 1.5": Accuracy((1, 1.5, 1.5, 1.5)),
    "pow -2": Accuracy((1, 1.5, 1.5, 1.5)),
    "pow of 2.5": Accuracy((1.5, 1.5, 2, 3)),
    "pow of a tensor": Accuracy((1, 1.5, 1.5, 1.5)),
    "sin": Accuracy((1, 1, 1, 1)),
    "cos": Accuracy((1, 1, 1, 1), "beside"),
    "tan": Accuracy((1, 2, 2, 4)),
    "sinh": Accuracy((1, 1.5, 1, 1.5)),
    "cosh": Accuracy((1.5, 1, 1.5, 1), "beside"),
    "tanh": Accuracy((1, 1.5, 3, 4), "one"),
    "asin": Accuracy((1.5, 1.5, 4, 6)),
    "acos": Accuracy((1.5, 1.5, 4, 6)),
    "atan": Accuracy((1, 1.5, 3, 20)),
    "asinh": Accuracy((1, 1.5, 4, 8)),
    "acosh": Accuracy((1, 2, 6, 8)),
    "atanh": Accuracy((1, 1.5, 3, 6)),
    "atan2": Accuracy((1.5, 2, 6, 30)),
    "atan2 by the width": Accuracy((3, 2, 6, 30)),
    "hypot": Accuracy((1.5, 1, 3, 6), "beside"),
    "sinc": Accuracy((1.5, 3, 1, 20), "beside"),
    "sigmoid": Accuracy((1, 1, 1, 1), "one"),
    "logsigmoid": Accuracy((1.5, 1, 1, 1), "one"),
    "softplus": Accuracy((1.5, 1, 1, 1), "one"),
    "logaddexp": Accuracy((1.5, 1, 1, 1), "one"),
    "logaddexp2": Accuracy((1.5, 1, 1, 1), "one"),
    "logsumexp": Accuracy((1, 1, 1, 1.5), "one"),
    "softmax": Accuracy((1, 1, 1.5, 1.5), "one"),
    "log_softmax": Accuracy((1, 1.5, 1.5, 1.5), "one"),
    "silu": Accuracy((1.5, 10, 10, 8), "one"),
    "gelu": Accuracy((3, 4, 20, 6)),
    "gelu by tanh": Accuracy((1.5, 3, 15, 100), "one"),
    "mish": Accuracy((1.5, 6, 15, 20), "one"),
    "softsign": Accuracy((1.5, 3, 3, 4)),
    "tanhshrink": Accuracy((1.5, 1.5, 3, 4), "one"),
    "elu": Accuracy((1, 1.5, 1.5, 1.5)),
    "xlogy": Accuracy((1.5, 1, 1.5, 2)),
    "xlog1py": Accuracy((1.5, 1.5, 1.5, 3)),
    "entr": Accuracy((1.5, 1.5, 1, 2)),
    "logit": Accuracy((3, 1.5, 6, 3)),
    "erf": Accuracy((1.5, 3, 2, 3)),
    "erfc": Accuracy((2, 3, 2, 3)),
    "erfcx": Accuracy((4, 3, 4, 3)),
    "erfinv": Accuracy((2, 4, 10, 15)),
    "ndtr": Accuracy((1, 1, 1, 400), "beside"),
    "log_ndtr": Accuracy((3, 400, 400, 400)),
    "ndtri": Accuracy((1.5, 6, 8, 15)),
    "gammaln": Accuracy((3, 1.5, 3, 200)),
    "digamma": Accuracy((1.5, 3, 200, 6)),
    "polygamma 1": Accuracy((3, 1, 1.5, 6), "beside"),
    "polygamma 2": Accuracy((1, 1.5, 1, 6), "beside"),
    "mvlgamma 3": Accuracy((2, 1.5, 2, 1.5)),
    "betaln 2.5": Accuracy((15, 10, 20, 30)),
    "zeta": Accuracy((3, 60, 6, 6)),
    "zeta 2.5": Accuracy((3, 3, 4, 3)),
    "gammainc 2.5": Accuracy((60, 1.5, 2, 100)),
    "gammaincc 2.5": Accuracy((200, 1.5, 2, 100)),
    "betainc 2.5 1.5": Accuracy((8, 3, 4, 3)),
    "bessel_j0": Accuracy((1.5, 1.5, 1, 4), "beside"),
    "bessel_j1": Accuracy((6, 30, 4, 60)),
    "jv 2": Accuracy((100, 6, 30, 60)),
    "bessel_y0": Accuracy((6, 60, 6, 30)),
    "bessel_y1": Accuracy((60, 6, 30, 4)),
    "yv 2": Accuracy((4, 200, 20, 30)),
    "i0": Accuracy((1.5, 2, 1.5, 4), "beside"),
    "i1": Accuracy((3, 3, 4, 4)),
    "iv 2": Accuracy((1.5, 1.5, 2, 3), "beside"),
    "iv 0.5": Accuracy((4, 3, 100, 3)),
    "i0e": Accuracy((2, 15, 6, 15)),
    "i1e": Accuracy((4, 300, 300, 40)),
    "ive 2": Accuracy((20, 30, 80, 200)),
    "ive 0.5": Accuracy((30, 40, 20, 20)),
    "modified_bessel_k0": Accuracy((3, 1.5, 1.5, 3)),
    "modified_bessel_k1": Accuracy((1.5, 1.5, 3, 3)),
    "kv 2": Accuracy((1.5, 3, 2, 3)),
    "kv 0.5": Accuracy((2, 3, 2, 2)),
    "scaled_modified_bessel_k0": Accuracy((3, 6, 6, 3)),
    "scaled_modified_bessel_k1": Accuracy((1.5, 6, 4, 6)),
    "kve 2": Accuracy((6, 3, 4, 4)),
    "kve 0.5": Accuracy((4, 6, 4, 4)),
}
"""By the names of the functions, with their fixed arguments behind."""
