"""The accuracies that `hograd.special.ACCURACY` states, over the range of each dtype, against recorded values."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.special import ACCURACY

from .accuracy_functions import DTYPES, FUNCTIONS, RECORDED, points

#: Below the normal numbers each step of a computation may round by one of these.
SUBNORMAL_STEPS = 64


def along(f):
    """The derivative of an elementwise function, element by element, from the backward pass."""
    return lambda x: func.vjp(f, x)[1](ho.ones_like(x))[0]


def pushed(f):
    """The same from forward mode."""
    return lambda x: func.jvp(f, (x,), (ho.ones_like(x),))[1]


def errors(found, x, exact, scale, dtype):
    """In units in the last place of the scale; 0 where the exact value is unknown."""
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        beyond = np.isinf(exact.astype(dtype))
        size = np.maximum(np.abs(exact), scale)
        off = np.abs(found - exact) / (size * float(info.eps) + SUBNORMAL_STEPS * float(info.smallest_subnormal))
    # An answer at the border of the range may be either side of it.
    border = float(info.max) / 4
    off = np.where(beyond, np.where(np.abs(found) > border, 0.0, np.inf), off)
    off = np.where((found == np.sign(exact) * np.inf) & (np.abs(exact) > border), 0.0, off)
    off = np.where(np.isnan(found) & ~np.isnan(exact), np.inf, off)
    return np.where(np.isnan(exact), 0.0, off)


def measured(name, dtype, derive=along):
    """The largest error of the value and of the first three derivatives, and where it is."""
    domain, f = FUNCTIONS[name]
    x, *exact = np.load(RECORDED)[f"{name}/{dtype}"]
    np.testing.assert_array_equal(x, points(domain, DTYPES[dtype]))
    worst = []
    with np.errstate(all="ignore"):
        for order in range(4):
            found = f(ho.tensor(x.astype(DTYPES[dtype])))
            assert found.dtype == DTYPES[dtype]
            sizes = {"answer": 0.0, "one": 1.0}
            if ACCURACY[name].relative_to in sizes:
                scale = np.full(x.shape, sizes[ACCURACY[name].relative_to])
            else:
                slope = exact[order + 1] if order < 3 else np.zeros_like(x)
                scale = np.nan_to_num(np.maximum(np.abs(x * slope), np.abs(exact[order - 1] / x) if order else 0))
            off = errors(found.numpy().astype(float), x, exact[order], scale, DTYPES[dtype])
            worst.append((float(off.max()), float(x[off.argmax()])))
            f = derive(f)
    return worst


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives_are_as_precise_as_stated(name, dtype):
    for order, (off, x) in enumerate(measured(name, dtype)):
        assert off <= ACCURACY[name].units[order], f"derivative {order} at {x}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_mode_is_as_precise(name):
    for order, (off, x) in enumerate(measured(name, "float32", pushed)):
        assert off <= ACCURACY[name].units[order], f"derivative {order} at {x}"


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_code_is_as_precise(name, backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    f, x = FUNCTIONS[name][1], np.load(RECORDED)[f"{name}/float64"][0]
    with np.errstate(all="ignore"):
        plain = [g(ho.tensor(x)).numpy() for g in (f, along(along(f)))]
        for g, expected in zip((f, along(along(f))), plain, strict=True):
            found = ho.compile(g, backend=backend)(ho.tensor(x)).numpy()
            scale = 1.0 if ACCURACY[name].relative_to == "one" else 0.0
            np.testing.assert_allclose(found, expected, rtol=1e-14 * 8, atol=scale * 1e-14)


def test_the_table_has_every_function_that_is_looked_at():
    assert set(ACCURACY) == set(FUNCTIONS)
