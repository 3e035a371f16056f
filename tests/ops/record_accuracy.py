"""Writes the values that `test_accuracy.py` compares with: run it with mpmath installed, which the extra `dev` has.

python tests/ops/record_accuracy.py
"""

from __future__ import annotations

import math
import signal
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from accuracy_functions import DTYPES, FUNCTIONS, RECORDED, points
from mpmath import mp, mpf

SECONDS = 1.0


def ndtr(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def softplus(x):
    return mp.log1p(mp.exp(-abs(x))) + max(x, 0)


def scaled_i(order):
    return lambda x: mp.besseli(order, x) * mp.exp(-x)


class SecondKind:
    """Derivatives of the modified Bessel function, by the trapezoidal rule for the integral of Schlaefli."""

    def __init__(self, order, scaled):
        self.order = mpf(order)
        self.scaled = scaled

    def __call__(self, x, order=0):
        total, width = mpf(0), 1 / mp.sqrt(max(x, 1))
        step = width * 4 / mp.dps
        k, settled = 0, False
        while not settled:
            cosine = mp.cosh(k * step)
            height = 2 * mp.sinh(k * step / 2) ** 2
            term = (
                (-(height if self.scaled else cosine)) ** order * mp.exp(-x * height) * mp.cosh(self.order * k * step)
            )
            total += term if k else term / 2
            settled = k * step > width and abs(term) < abs(total) * mp.eps and x * height > order
            k += 1
        return total * step * (1 if self.scaled else mp.exp(-x))


class Neumann(SecondKind):
    """Derivatives of the Bessel function of the second kind, by those of the orders beside."""

    def __init__(self, order):
        super().__init__(order, False)

    def __call__(self, x, order=0):
        terms = [
            (-1) ** i * mp.binomial(order, i) * mp.bessely(self.order - order + 2 * i, x) for i in range(order + 1)
        ]
        return mp.fsum(terms) / 2**order


def betaln(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def inverse(f, slope, guess):
    def found(y):
        x = guess(y)
        for _ in range(200):
            step = (f(x) - y) / slope(x)
            x -= step
            if abs(step) <= abs(x) * mp.eps * 8:
                break
        return x

    return found


def erfinv(y):
    return mp.erfinv(y) if abs(y) > mpf(10) ** -20 else y * mp.sqrt(mp.pi) / 2 * (1 + mp.pi * y * y / 12)


def ndtri(p):
    """By Newton's method on the logarithm, which converges from far."""
    if p > 0.5:
        return -ndtri(1 - p)
    x = -mp.sqrt(-2 * mp.log(p)) if p < 0.1 else mp.sqrt(2 * mp.pi) * (p - 0.5)
    for _ in range(100):
        value = ndtr(x)
        step = (mp.log(value) - mp.log(p)) * value / mp.npdf(x)
        x -= step
        if abs(step) < abs(x) * mp.eps * 16 or abs(step) < mp.eps**2:
            break
    return x


HALF = mpf(1) / 2
REFERENCES = {
    "exp": mp.exp, "exp2": lambda x: mpf(2) ** x, "expm1": mp.expm1, "log": mp.log, "log2": lambda x: mp.log(x, 2),
    "log10": mp.log10, "log1p": mp.log1p, "sqrt": mp.sqrt, "rsqrt": lambda x: 1 / mp.sqrt(x),
    "reciprocal": lambda x: 1 / x, "pow 1.5": lambda x: x * mp.sqrt(x), "pow -2": lambda x: 1 / x**2,
    "pow of 2.5": lambda x: mpf(2.5) ** x, "pow of a tensor": lambda x: x * mp.sqrt(x),
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh,
    "asin": mp.asin, "acos": mp.acos, "atan": mp.atan, "asinh": mp.asinh, "acosh": mp.acosh, "atanh": mp.atanh,
    "atan2": mp.atan, "atan2 by the width": lambda x: mp.atan2(1, x), "hypot": lambda x: mp.sqrt(x * x + 1),
    "sinc": mp.sincpi, "sigmoid": sigmoid, "logsigmoid": lambda x: -softplus(-x), "softplus": softplus,
    "logaddexp": softplus, "logaddexp2": lambda x: softplus(x * mp.log(2)) / mp.log(2), "logsumexp": softplus,
    "softmax": sigmoid, "log_softmax": lambda x: -softplus(-x), "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: x * ndtr(x),
    "gelu by tanh": lambda x: x * sigmoid(2 * mp.sqrt(2 / mp.pi) * (x + mpf(0.044715) * x**3)),
    "mish": lambda x: x * mp.tanh(softplus(x)), "softsign": lambda x: x / (1 + x),
    "tanhshrink": lambda x: x - mp.tanh(x), "elu": lambda x: mp.expm1(-x),
    "xlogy": lambda x: mp.log(x) * 5 / 2, "xlog1py": lambda x: mp.log1p(x) * 5 / 2, "entr": lambda x: -x * mp.log(x),
    "logit": lambda x: mp.log(x) - mp.log1p(-x), "erf": mp.erf, "erfc": mp.erfc,
    "erfcx": lambda x: mp.exp(x * x) * mp.erfc(x), "erfinv": erfinv, "ndtr": ndtr,
    "log_ndtr": lambda x: mp.log1p(-ndtr(-x)) if x > 0 else mp.log(ndtr(x)), "ndtri": ndtri,
    "gammaln": lambda x: mp.loggamma(x) if x > 0 else mp.log(abs(mp.gamma(x))), "digamma": mp.digamma,
    "polygamma 1": lambda x: mp.polygamma(1, x), "polygamma 2": lambda x: mp.polygamma(2, x),
    "mvlgamma 3": lambda x: sum(mp.loggamma(x - j * HALF) for j in range(3)) + 3 * mp.log(mp.pi) / 2,
    "betaln 2.5": lambda x: betaln(mpf(2.5), x),
    "zeta": mp.zeta, "zeta 2.5": lambda x: mp.zeta(mpf(2.5), x),
    "gammainc 2.5": lambda x: mp.gammainc(mpf(2.5), 0, x, regularized=True),
    "gammaincc 2.5": lambda x: mp.gammainc(mpf(2.5), x, regularized=True),
    "betainc 2.5 1.5": lambda x: mp.betainc(mpf(2.5), mpf(1.5), 0, x, regularized=True),
    "bessel_j0": lambda x: mp.besselj(0, x), "bessel_j1": lambda x: mp.besselj(1, x),
    "jv 2": lambda x: mp.besselj(2, x), "bessel_y0": Neumann(0),
    "bessel_y1": Neumann(1), "yv 2": Neumann(2),
    "i0": lambda x: mp.besseli(0, x), "i1": lambda x: mp.besseli(1, x), "iv 2": lambda x: mp.besseli(2, x),
    "iv 0.5": lambda x: mp.besseli(HALF, x), "i0e": scaled_i(0), "i1e": scaled_i(1), "ive 2": scaled_i(2),
    "ive 0.5": scaled_i(HALF), "modified_bessel_k0": SecondKind(0, False),
    "modified_bessel_k1": SecondKind(1, False), "kv 2": SecondKind(2, False),
    "kv 0.5": SecondKind(HALF, False), "scaled_modified_bessel_k0": SecondKind(0, True),
    "scaled_modified_bessel_k1": SecondKind(1, True), "kve 2": SecondKind(2, True), "kve 0.5": SecondKind(HALF, True),
}  # fmt: skip


def differentiated(f, x, order):
    """By differences on the scale of x itself."""
    if not order:
        return mp.re(f(x))
    return mp.diff(lambda s: f(x * (1 + s)), 0, order) / x**order if x else mp.diff(f, x, order)


def derivative(f, x, order):
    """At a precision at which twice as many digits change nothing; nan where that takes long."""
    last = None
    for digits in (30, 60, 120, 240, 480, 960):
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        mp.dps = digits
        try:
            now = f(x, order) if isinstance(f, SecondKind) else differentiated(f, x, order)
        except Exception as error:  # mpmath's are many
            return math.nan, repr(error)[:80]
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if now and last is not None and abs(now - last) <= abs(now) * mpf(10) ** -20:
            return float(now), ""
        last = now
    return float(now), "" if abs(now) < mpf(10) ** -350 else f"unsettled {mp.nstr(now, 10)}"


def late(*_):
    raise TimeoutError


def record(task):
    signal.signal(signal.SIGVTALRM, late)
    name, dtype = task
    x = points(FUNCTIONS[name][0], DTYPES[dtype])
    answers, notes = np.full((4, len(x)), np.nan), []
    for i, value in enumerate(x):
        for order in range(4):
            answers[order, i], note = derivative(REFERENCES[name], mpf(float(value)), order)
            if note:
                notes.append((name, dtype, float(value), order, note))
    return f"{name}/{dtype}", x.astype(np.float64), answers, notes


if __name__ == "__main__":
    only = sys.argv[1:]
    tasks = [(name, dtype) for dtype in DTYPES for name in FUNCTIONS if not only or name in only]
    recorded = dict(np.load(RECORDED)) if RECORDED.exists() and only else {}
    with ProcessPoolExecutor(2) as pool:
        for key, x, answers, notes in pool.map(record, tasks):
            recorded[key] = np.vstack([x, answers])
            print(key, flush=True)
            for note in notes:
                print("   ", *note, flush=True)
    np.savez_compressed(RECORDED, **recorded)
