"""Computations whose answers tell whether a term was changed: compiled as eager, to the bit or to a few last places."""

import math

import numpy as np
import pytest

import hograd as ho
from hograd import func

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
INF, NAN = math.inf, math.nan


def t(*values, dtype="float64"):
    return ho.tensor(np.array(values, dtype))


def compensated(x):
    def step(carry, v):
        total, lost = carry
        y = v - lost
        new = total + y
        return (new, (new - total) - y), None

    return ho.scan(step, (ho.tensor(0.0), ho.tensor(0.0)), x)[0]


def rounding_error(a, b):
    high = a * 134217729.0 - (a * 134217729.0 - a)
    return high * b - a * b + (a - high) * b


OFFSET = ho.tensor(np.full((40, 2), 2.0**52))
EDGES = t(0.0, -0.0, INF, -INF, NAN, -1.0, 4.0, 1e200, 1e-200, 5e-324)
CASES = {
    "overflow and back": (lambda x: x * x / x, t(1e200, -1e200, 0.0, -0.0, 1e-200)),
    "differences that cancel": (lambda x: x - (x - 1.0) + (x + 1e16 - 1e16), t(1e16, 1.0, 1e300)),
    "float16 at its edge": (lambda x: x * 2 - x, t(60000, -0.0, INF, dtype="float16")),
    "a compensated sum": (compensated, t(1e16, 1.0, 1.0, -1e16, 3.0)),
    "the rounding error of a product": (lambda x: rounding_error(x, x / 3), t(0.1, 1 / 3, 7.7)),
    "neutral elements": (lambda x: (x + 0, x - 0, 0 - x, x * 1, x.neg().neg(), x / 1, x * -1, x + -0.0), EDGES),
    "softmax of infinities": (
        lambda x: (ho.softmax(x, 1), ho.log_softmax(x, 1)),
        ho.tensor([[-INF, 0, 1], [INF, 0, 1], [NAN, 0, 1], [-INF] * 3, [1e308, -1e308, 0]]),
    ),
    "means of large numbers": (lambda x: (x / 4).sum(1), ho.tensor(np.full((4, 4), 3e38, np.float32))),
    "slopes at ties": (lambda x: func.grad(lambda x: (ho.maximum(x, -x) + ho.relu(x) + ho.abs(x)).sum())(x), EDGES),
    "integers that wrap": (lambda x: (x * x + 1, x - 1, -x), t(2**62, -(2**63), 3, dtype="int64")),
    "products in their order": (lambda x: (x * x * 1e300, x * (x * 1e300), x * 1e300 * x), t(1e-200, 5e-324, 1e-150)),
    "a choice beside infinity": (
        lambda x: func.grad(lambda x: ho.where(x > 0, ho.log(ho.where(x > 0, x, 1.0)), 0.0).sum())(x),
        EDGES,
    ),
    "a large offset before a product": (
        lambda x: ho.ones(3, 40) @ ((x + OFFSET) - OFFSET),
        ho.tensor(np.random.default_rng(0).integers(0, 5, (40, 2)).astype(float)),
    ),
    "powers": (lambda x: (x**2, x**0.5, x**-1, x**3, x**0, x**1.0, 2.0**x), EDGES),
    "nan among zeros": (
        lambda x: (x @ ho.zeros(3, 2), (x * 0).sum(0), (x * 0.0).sum()),
        ho.tensor([[1.0, INF, NAN], [0.0, 1.0, 2.0]]),
    ),
    "complex identities": (
        lambda x: (x * 1, x + 0, x / 1, x - 0, x.neg().neg()),
        ho.tensor(np.array([complex(INF, 1), complex(-0.0, -0.0), complex(NAN, 1)])),
    ),
    "a curvature at the edge": (
        lambda x: func.hvp(lambda x: ((x * 1e-100) ** 2 * x * x).sum(), x, x),
        t(1e100, -1e100, 0.0),
    ),
    "literals beside float32": (
        lambda x: (x * 0.1, x == 0.1, x + 1e-8, x / 3, x * 1e40, x - 16777217.0),
        t(0.1, 1.0, 16777216.0, dtype="float32"),
    ),
}


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", CASES)
def test_compiled_is_eager(name, backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    f, x = CASES[name]
    for y, e in zip(ho.tree.leaves(ho.compile(f, backend=backend)(x)), ho.tree.leaves(f(x)), strict=True):
        y, e = y.numpy(), e.numpy()
        assert (y.shape, y.dtype) == (e.shape, e.dtype)
        # Machine code has exponentials of its own.
        np.testing.assert_allclose(y, e, rtol=2e-15 if backend == "native" and y.dtype == np.float64 else 0, atol=0)
        if y.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(y[e == 0]), np.signbit(e[e == 0]))
