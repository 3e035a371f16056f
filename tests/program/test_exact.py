"""A compiled function computes what the eager one does: bit for bit, but that sums may be added in another order."""

import random

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.program import linear, passes

BACKENDS = ["numpy", "native"]
DTYPES = ["float16", "float32", "float64"]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param == "native":
        pytest.importorskip("llvmlite")
    return request.param


def bits(found, expected, ulps=0):
    """Assert that values are the same: zeros with their signs, infinities, nan, and others to some last places."""
    for y, e in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
        y, e = np.asarray(y.detach()), np.asarray(e.detach())
        assert (y.shape, y.dtype) == (e.shape, e.dtype)
        if e.dtype.kind not in "fc" or not ulps:
            np.testing.assert_array_equal(y, e)
        else:
            finite = np.isfinite(e)
            np.testing.assert_array_equal(np.isfinite(y), finite)
            np.testing.assert_array_equal(y[~finite], e[~finite])
            distance = np.abs(y[finite].astype(np.longdouble) - e[finite].astype(np.longdouble))
            assert (distance <= ulps * np.spacing(np.abs(e[finite]))).all()
        if e.dtype.kind == "f":
            zero = e == 0
            np.testing.assert_array_equal(np.signbit(y[zero]), np.signbit(e[zero]))


def specials(rng, count, dtype):
    """Numbers of all sizes, with zeros of both signs, infinities, nan, subnormal numbers and large offsets."""
    limits = np.finfo(dtype)
    with np.errstate(all="ignore"):
        values = rng.normal(size=count) * rng.choice([1e-3, 1, 1, 1, 30, 1e4], count)
        values = np.where(rng.random(count) < 0.15, values + limits.max / 4, values)
        fixed = [0.0, -0.0, np.inf, -np.inf, np.nan, limits.tiny / 8, -limits.tiny / 2, limits.max, 1.0, -1.0, 49.0]
        values = np.where(rng.random(count) < 0.3, rng.choice(fixed, count), values)
        return ho.tensor(values.astype(dtype))


# Elementwise operations of values u and v of one shape, a number s of shape () and a number k of Python's.
ARITHMETIC = [
    lambda u, v, s, k: u + v,
    lambda u, v, s, k: u - v,
    lambda u, v, s, k: u * v,
    lambda u, v, s, k: u / v,
    lambda u, v, s, k: u + k,
    lambda u, v, s, k: k - u,
    lambda u, v, s, k: u * k,
    lambda u, v, s, k: u / k,
    lambda u, v, s, k: u * s,
    lambda u, v, s, k: u / s,
    lambda u, v, s, k: u * v + s * u,
    lambda u, v, s, k: u * u - v * v,
    lambda u, v, s, k: -u,
    lambda u, v, s, k: u * k * 0.1 / 49,
    lambda u, v, s, k: u * 0.0 + v,
    lambda u, v, s, k: (u + 0.0) - (v - -0.0),
    lambda u, v, s, k: ho.where(u > v, u, v * k),
    lambda u, v, s, k: ho.maximum(u, v) - ho.minimum(v, u),
    lambda u, v, s, k: ho.relu(u) + ho.abs(v),
    lambda u, v, s, k: u**2 - v.square(),
    lambda u, v, s, k: ho.concatenate([u[:5], v[5:]]) * s,
    lambda u, v, s, k: ho.concatenate([u[:7] / s, u[7:] / s]),
    lambda u, v, s, k: u[::-1] - k * v,
    lambda u, v, s, k: ho.floor(u / k),
    lambda u, v, s, k: u * (s * s / 3 - s),
]
FUNCTIONS = [
    lambda u, v, s, k: u * ho.exp(s),
    lambda u, v, s, k: ho.exp(u) - ho.tanh(v),
    lambda u, v, s, k: ho.tanh(u * 0.1) + 3 * s,
    lambda u, v, s, k: ho.log(ho.abs(u)) / ho.tanh(s),
    lambda u, v, s, k: ho.sigmoid(u - s) * v,
    lambda u, v, s, k: ho.sqrt(u) + ho.safe_sqrt(ho.abs(v)),
    lambda u, v, s, k: ho.sin(s) * u - ho.cos(s),
    lambda u, v, s, k: s**2.5 * u,
]
NUMBERS = [0.0, -0.0, 1.0, -1.0, 2, 0, 3.0, 0.1, 49, 1e-3, -7.0, 0.5, 1e4, float("inf")]


def elementwise(source, operations, depth):
    """A random function of x, y and a number, all of whose operations are elementwise."""
    plan = [(source.choice(operations), source.random(), source.random(), source.choice(NUMBERS)) for _ in range(depth)]

    def f(x, y, s):
        values = [x, y]
        for operation, a, b, k in plan:
            u, v = (values[int(place * len(values))] for place in (a, b))
            values.append(operation(u, v, s, k))
        return values[-1], values[-2]

    return f


def derivative(f, order):
    """Cotangents of x and y pulled back `order` times, without any sum."""
    if order == 0:
        return f

    def pulled(x, y, s):
        answers, pull = func.vjp(lambda x, y: derivative(f, order - 1)(x, y, s), x, y)
        return pull(answers)

    return pulled


@pytest.mark.parametrize("seed", range(24))
def test_random_elementwise_programs(seed, backend):
    source, rng = random.Random(f"{seed} exact"), np.random.default_rng(seed)
    dtype, order = DTYPES[seed % 3], seed % 4
    # Machine code has its own exponentials.
    f = derivative(elementwise(source, ARITHMETIC + (FUNCTIONS if backend == "numpy" else []), 9 - order), order)
    compiled = ho.compile(f, backend=backend)
    for _ in range(2):
        args = specials(rng, 37, dtype), specials(rng, 37, dtype), specials(rng, 1, dtype)[0]
        bits(compiled(*args), f(*args))


@pytest.mark.parametrize("seed", range(12))
def test_random_elementwise_loops(seed, backend):
    source, rng = random.Random(f"{seed} exact loops"), np.random.default_rng(seed)
    dtype, length, reverse = DTYPES[seed % 3], source.choice([2, 5]), source.random() < 0.3
    body = elementwise(source, ARITHMETIC + (FUNCTIONS if backend == "numpy" else []), 6)

    def f(x, y, s):
        def step(carry, row, s):
            first, second = body(carry[0] + row, carry[1], s)
            return (first, second), first * s

        return ho.scan(step, (x, y), ho.stack([x, y] * length), consts=(s,), reverse=reverse)

    compiled = ho.compile(f, backend=backend)
    for _ in range(2):
        args = specials(rng, 37, dtype), specials(rng, 37, dtype), specials(rng, 1, dtype)[0]
        bits(compiled(*args), f(*args))


# Programs whose sums are exact in any order: whole numbers times a power of two, at the edge of the range of numbers.
ROWS, COLUMNS = 12, 3
LARGEST = {"float32": (24, 118), "float64": (53, 1010)}
LEFT = np.random.default_rng(0).integers(-2, 3, (ROWS, 5)).astype(float)
SHIFT = np.random.default_rng(1).integers(0, 8, (ROWS, COLUMNS)).astype(float)


def homogeneous(source, dtype):
    """A random function whose values are all whole numbers times one power of two each, which it tracks."""
    digits, edge = LARGEST[dtype]
    left, shift = (ho.tensor(a.astype(dtype)) for a in (LEFT, SHIFT))
    offset = shift + float(2 ** (digits - 5))

    def scaled(k):
        return {
            "literal": lambda u, s: u * 2.0**k,
            "quotient": lambda u, s: u / 2.0**-k,
            "number": lambda u, s: u * s**k,
            "divisor": lambda u, s: u / s**-k,
        }[source.choice(["literal", "quotient", "number", "divisor"])]

    def f(x, s):
        # As many random choices in every run.
        source.seed(start)
        # With the exponent and the number of digits of each.
        values = [(x.T.T, first, 4)]
        totals = []
        for _ in range(10):
            u, e, d = source.choice(values[-3:])
            kind, k = (
                source.choice(["scale", "scale", "negate", "add", "shift", "sum", "spread", "total"]),
                source.choice(steps),
            )
            if kind == "scale" and -edge < e + k < edge + 30:
                values.append((scaled(k)(u, s), e + k, d))
            elif kind == "negate":
                values.append((-u, e, d))
            elif kind == "add":
                others = [(v, c) for v, b, c in values if b == e]
                v, c = source.choice(others)
                if max(c, d) < digits - 8:
                    values.append((u - v if source.random() < 0.5 else u + v, e, max(c, d) + 1))
            elif kind == "shift" and e == 0 and d < 6:
                values.append(((u + offset) - offset, e, d + 1))
            elif kind == "sum" and d < digits - 10:
                totals.append((left.T @ u).sum(1) if source.random() < 0.5 else u.sum(0))
            elif kind == "total" and d < digits - 10 and -edge < e + k < edge + 30:
                v = scaled(k)(u, s)
                totals.append(v.sum(0) if source.random() < 0.5 else left.T @ v)
            elif kind == "spread" and d < digits - 10:
                values.append((u - u.sum(0, keepdim=True), e, d + 4))
        totals.append(left.T @ values[-1][0])
        return totals

    start = source.random()
    steps = [-40, -20, 20, 40]
    first = source.choice([0, edge - 20, edge - 2, 20 - edge])
    return f, first


def exact_sums(seed, dtype, *, steps=0, checkpoint="none", **options):
    """Whether a compiled random function and its derivative agree with the eager ones; `steps`: of a loop around it."""
    f, first = homogeneous(random.Random(f"{seed} {dtype} sums"), dtype)
    rng = np.random.default_rng(seed)

    def looped(x, s):
        def step(x, sign, s):
            return x * sign, f(x, s)

        return ho.scan(step, x, ho.tensor(np.ones(steps, dtype)) * -1, consts=(s,), checkpoint=checkpoint)[1]

    def slopes(x, s):
        answers, pull = func.vjp(lambda x: (looped if steps else f)(x, s), x)
        return answers, pull([y * 0 + (i + 1.0) for i, y in enumerate(answers)])

    compiled = ho.compile(slopes, **options)
    x = ho.tensor((rng.integers(-8, 9, (ROWS, COLUMNS)) * 2.0**first).astype(dtype))
    s = ho.tensor(np.array(2.0, dtype))
    found, expected = ho.tree.leaves(compiled(x, s)), ho.tree.leaves(slopes(x, s))
    return all(np.array_equal(y.numpy(), e.numpy(), equal_nan=True) for y, e in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", LARGEST)
@pytest.mark.parametrize("seed", range(20))
def test_random_sums_at_the_edge_of_the_numbers(seed, dtype, backend):
    assert exact_sums(seed, dtype, backend=backend)


@pytest.mark.parametrize("dtype", LARGEST)
@pytest.mark.parametrize("seed", range(10))
def test_random_sums_in_loops(seed, dtype, backend):
    assert exact_sums(seed, dtype, steps=3, checkpoint=["none", 2][seed % 2], backend=backend)


@pytest.mark.parametrize("name", sorted(passes.FAST_MATH))
def test_rewrites_that_change_numbers_are_found(name, monkeypatch):
    monkeypatch.setattr(linear, "_LARGE", 2)
    names = [*passes.chosen(False), name]
    assert not all(exact_sums(seed, dtype, fast_math=True, passes=names) for seed in range(60) for dtype in LARGEST)


@pytest.mark.parametrize("place", ["function", "derivative", "loop", "derivative of a loop", "loop in a loop"])
def test_fast_math_is_chosen_for_all_of_a_function(place, backend):
    def total(x):
        return (x / 4).sum()

    def looped(x):
        return ho.scan(lambda c, _: (c, total(c)), x, length=2)[1][1]

    def slope(f, x):
        one = ho.tensor(1.0)
        return func.jvp(lambda s: f(x * s), (one,), (one,))[1]

    functions = {
        "function": total,
        "derivative": lambda x: slope(total, x),
        "loop": looped,
        "derivative of a loop": lambda x: slope(looped, x),
        "loop in a loop": lambda x: ho.scan(lambda c, _: (c, looped(c)), x, length=2)[1][1],
    }
    x = ho.tensor([1e308, 1e308])
    f = functions[place]
    assert ho.compile(f, backend=backend)(x).item() == f(x).item() == 5e307
    assert ho.compile(f, backend=backend, fast_math=True)(x).item() == np.inf
    # The choice of the outermost one counts, and each has programs of its own.
    assert ho.compile(ho.compile(f, fast_math=True), backend=backend)(x).item() == 5e307
    fast = ho.compile(f, backend=backend, fast_math=True)
    assert func.grad(lambda x: fast(x) * 0)(x).tolist() == func.grad(lambda x: f(x) * 0)(x).tolist()


def test_products_and_sums_are_rounded_apart(backend):
    x = ho.tensor(np.random.default_rng(0).random(200))
    for f in (lambda a, b: ho.sqrt(a * a - b * b), lambda a, b: a * b - b * a, lambda a, b: (a * b + a * -b).sum()):
        assert (ho.compile(f, backend=backend)(x, x).numpy() == 0).all()
