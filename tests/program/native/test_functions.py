"""Transcendental functions in machine code, against NumPy's in more digits."""

import numpy as np
import pytest

import hograd as ho

pytest.importorskip("llvmlite")

#: For each function where it is tried, and by how many units in the last place it may differ from the exact value.
FUNCTIONS = {
    "exp": (np.exp, [(-745, 709.7), (-1, 1), (-1e-9, 1e-9)], 2),
    "expm1": (np.expm1, [(-50, 709.7), (-1, 1), (-1e-9, 1e-9)], 3),
    "log": (np.log, [(0, 1e300), (0.5, 2), (1 - 1e-7, 1 + 1e-7), (0, 1e-300)], 2),
    "log1p": (np.log1p, [(-1, 1e300), (-0.5, 1), (-1e-9, 1e-9)], 4),
    "tanh": (np.tanh, [(-25, 25), (-1, 1), (-1e-9, 1e-9)], 3),
    "sin": (np.sin, [(-1e6, 1e6), (-10, 10), (1e6, 1e15), (-1e-9, 1e-9)], 2),
    "cos": (np.cos, [(-1e6, 1e6), (-10, 10), (1e6, 1e15), (1.5707, 1.5708)], 2),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), [(-700, 700), (-3, 3)], 3),
}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, 1.0, 5e-324, -5e-324, 1e-310, 1e308, 710.0, -746.0, -1e308]


def points(ranges, dtype):
    random = np.random.default_rng(0)
    if dtype == np.float32:
        # Exponentials stay within the range of the format.
        ranges = [(max(a, -87.0), 1e38 if b > 1e38 else min(b, 88.0)) for a, b in ranges if a < 88]
    parts = [random.uniform(a, b, 4001) for a, b in ranges]
    return np.concatenate(parts).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("single", [False, True], ids=["many", "one"])
def test_accuracy(name, dtype, single):
    reference, ranges, units = FUNCTIONS[name]
    x = points(ranges, dtype)
    f = ho.compile(getattr(ho, name), backend="native")
    if single:
        x = x[::200]
        found = np.array([f(ho.tensor(value)).item() for value in x], dtype)
    else:
        found = f(ho.tensor(x)).numpy()
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.longdouble if dtype == np.float64 else np.float64))
        spacing = np.spacing(np.abs(exact.astype(dtype)))
        assert found.dtype == dtype
        off = np.where(np.isfinite(exact), np.abs(found - exact) / spacing, 0)
    assert off.max() <= units, x[off.argmax()]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", [*FUNCTIONS, "relu", "sqrt", "sign", "abs", "softplus"])
def test_special_values(name, dtype):
    f = getattr(ho, name)
    with np.errstate(all="ignore"):
        x = ho.tensor(np.array(SPECIAL).astype(dtype))
        found, expected = ho.compile(f, backend="native")(x).numpy(), f(x).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == np.float32 else 1e-14, atol=0)
    if name not in ("relu", "softplus"):
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found)[numbers], np.signbit(expected)[numbers])
