"""Complex functions near 0, far away and on their cuts; powers; derivatives of inverse functions of large numbers."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import hograd as ho
from hograd import func

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

BACKENDS = ["eager", "numpy", "native"]
INVERSES = {
    "asin": (ho.asin, lambda z: 1 / (np.sqrt(1 - z) * np.sqrt(1 + z))),
    "acos": (ho.acos, lambda z: -1 / (np.sqrt(1 - z) * np.sqrt(1 + z))),
    "asinh": (ho.asinh, lambda z: 1 / (np.sqrt(1 - 1j * z) * np.sqrt(1 + 1j * z))),
    "acosh": (ho.acosh, lambda z: 1 / (np.sqrt(z - 1) * np.sqrt(z + 1))),
    "atan": (ho.atan, lambda z: 1 / ((1 - 1j * z) * (1 + 1j * z))),
    "atanh": (ho.atanh, lambda z: 1 / ((1 - z) * (1 + z))),
}
over_inverses = pytest.mark.parametrize(("f", "slope"), INVERSES.values(), ids=INVERSES.keys())


def compiled(f, backend):
    return f if backend == "eager" else ho.compile(f, backend=backend)


def pushed(f):
    """The derivative of a holomorphic function."""
    return lambda x: func.jvp(f, (x,), (ho.ones_like(x),))[1]


def pulled(f):
    """The same from the backward pass, which has the conjugate."""
    return lambda x: ho.conj(func.vjp(f, x)[1](ho.ones_like(x))[0])


def differenced(f, z, order):
    """The derivative of this order by Cauchy's formula on a circle that meets no cut."""
    roots = np.exp(2j * np.pi * np.arange(64) / 64)
    radius = 0.2
    values = f(z[:, None] + radius * roots)
    return np.mean(values / roots**order, 1) * np.prod(np.arange(1, order + 1)) / radius**order


@over_inverses
@pytest.mark.parametrize("backend", BACKENDS)
def test_inverse_functions_have_derivatives_in_every_quadrant(f, slope, backend):
    z = np.array([-0.81 - 1.1j, -0.55 + 0.4j, -3 + 2j, 2 + 1j, 0.5 - 2j, -5 - 0.5j])
    g = f
    for order in range(3):
        by_push, by_pull = (compiled(d(g), backend)(ho.tensor(z)).numpy() for d in (pushed, pulled))
        np.testing.assert_allclose(by_push, differenced(slope, z, order), rtol=1e-12)
        np.testing.assert_allclose(by_pull, by_push, rtol=1e-14)
        g = pushed(g)


@over_inverses
def test_on_a_cut_the_sign_of_zero_says_the_side(f, slope):
    step = 1e-9
    sizes = np.array([2.0, -2.0, 0.5, -0.5])
    for z, aside in [
        (lambda zero: sizes + 1j * np.zeros(4) + 0j, lambda side: sizes + 1j * side * step),
        (lambda zero: 1j * sizes, lambda side: 1j * sizes + side * step),
    ]:
        for side in (1.0, -1.0):
            point = z(0)
            part = point.imag if np.any(point.real) else point.real
            part[:] = np.copysign(0.0, side)
            found, expected = pushed(f)(ho.tensor(point)).numpy(), slope(aside(side))
            np.testing.assert_allclose(found, expected, rtol=1e-7)
            np.testing.assert_allclose(f(ho.tensor(point)).numpy(), f(ho.tensor(aside(side))).numpy(), rtol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("dtype", "large"), [("float64", 1e200), ("float32", 1e30), ("float16", 6e4)])
def test_inverse_functions_of_large_numbers(backend, dtype, large):
    x = ho.tensor(np.array([-large, large], dtype))
    sign, eps, smallest = np.array([-1.0, 1.0]), np.finfo(dtype).eps, np.finfo(dtype).smallest_subnormal
    exact = {
        "asinh": (ho.asinh, [1 / large, -sign * large**-2.0, 2 * large**-3.0]),
        "atan": (ho.atan, [large**-2.0, -2 * sign * large**-3.0, 6 * large**-4.0]),
    }
    for name, (f, derivatives) in exact.items():
        for wanted in derivatives:
            f = func.grad(lambda x, f=f: f(x).sum())
            found = compiled(f, backend)(x)
            assert found.dtype == dtype
            np.testing.assert_allclose(
                found.numpy().astype(float), wanted, rtol=8 * eps, atol=2 * smallest, err_msg=name
            )
    for order, wanted in enumerate([1 / large, -(large**-2.0), 2 * large**-3.0]):
        f = ho.acosh
        for _ in range(order + 1):
            f = func.grad(f)
        found = compiled(f, backend)(x[1]).item()
        np.testing.assert_allclose(found, wanted, rtol=8 * eps, atol=2 * smallest)


def test_derivatives_at_the_ends_of_the_domain_are_infinite_to_every_order():
    for f, at, signs in [(ho.asin, 1.0, (1, 1, 1)), (ho.acos, -1.0, (-1, 1, -1)), (ho.acosh, 1.0, (1, -1, 1)),
                         (ho.atanh, -1.0, (1, -1, 1))]:  # fmt: skip
        for sign in signs:
            f = func.grad(f)
            assert f(ho.tensor(at)).item() == sign * np.inf


@pytest.mark.parametrize("backend", BACKENDS)
def test_log1p_of_complex_numbers_is_precise(backend):
    # By mpmath 1.3. The third and fourth lie beside the circle where the logarithm is imaginary.
    points = np.array([1e-23, 1e-200 - 1e-22j, -1e-9 + 1e-5j, -0.5 + 0.8660254j, 5e-324j, 1e300 + 1e300j, -2 + 1e-9j])
    real = [1e-23, 5.0000000000000004e-45, -9.500000004025001e-10, -3.2774200581614342e-09, 0, 691.1221014884936, 5e-19]
    imag = [0, -1e-22, 1.0000000009666668e-05, 1.0471975493043784, 5e-324, 0.7853981633974483, 3.141592652589793]
    expected = np.array(real) + 1j * np.array(imag)
    found = compiled(ho.log1p, backend)(ho.tensor(points)).numpy()
    np.testing.assert_allclose(found.real, expected.real, rtol=1e-12)
    np.testing.assert_allclose(found.imag, expected.imag, rtol=1e-12)
    assert ho.log1p(ho.tensor(np.complex64(1e-10 + 1e-3j))).dtype == np.complex64
    assert ho.log1p(ho.tensor(-1 + 0j)).numpy() == complex(-np.inf, 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "complex64"])
def test_tanhshrink_of_small_numbers_is_precise(dtype, backend):
    x = np.array([0.0, 1e-30, -1e-5, 1e-3, 0.1, 0.9, 1.1, -20.0]).astype(dtype)
    x = x * np.exp(0.5j).astype(dtype) if x.dtype.kind == "c" else x
    wide = x.astype(np.clongdouble if x.dtype.kind == "c" else np.longdouble)
    series = wide**3 / 3 - 2 * wide**5 / 15 + 17 * wide**7 / 315 - 62 * wide**9 / 2835
    expected = np.where(np.abs(x) < 0.02, series, wide - np.tanh(wide))
    found = compiled(ho.nn.functional.tanhshrink, backend)(ho.tensor(x)).numpy()
    np.testing.assert_allclose(found, expected.astype(dtype), rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("backend", BACKENDS)
def test_directions_of_complex_numbers_are_flat_at_zero(backend):
    z = ho.tensor([0j, 3e-320 + 4e-320j, 3e300 - 4e300j, 2j])
    np.testing.assert_allclose(ho.sgn(z).numpy(), [0, 0.6 + 0.8j, 0.6 - 0.8j, 1j], rtol=1e-3)
    for f in (ho.sgn, func.grad(lambda z: ho.abs(z).sum())):
        assert compiled(pulled(f), backend)(z)[0].numpy() == 0


def test_sigmoid_of_complex_numbers_far_out():
    z = ho.tensor([-1e10 + 1e3j, 1e10 + 1e3j, -800 + 0.5j])
    np.testing.assert_array_equal(ho.sigmoid(z).numpy(), [0, 1, 0])
    np.testing.assert_array_equal(pushed(ho.sigmoid)(z).numpy(), [0, 0, 0])


def raised(x, exponent):
    return x**exponent


@pytest.mark.parametrize("backend", BACKENDS)
def test_powers_are_the_same_for_numbers_and_arrays(backend):
    inf, nan = np.inf, np.nan
    x = np.array([-inf, -0.0, 0.0, inf, -2.0, 1.0, 0.25])
    # As PyTorch 2.13 has them, and their derivatives.
    exact = {
        0.5: ([nan, -0.0, 0.0, inf, nan, 1.0, 0.5], [nan, -inf, inf, 0.0, nan, 0.5, 1.0]),
        -0.5: ([nan, -inf, inf, 0.0, nan, 1.0, 2.0], [-0.0, -inf, -inf, -0.0, nan, -0.5, -4.0]),
        2: ([inf, 0.0, 0.0, inf, 4.0, 1.0, 0.0625], [-inf, -0.0, 0.0, inf, -4.0, 2.0, 0.5]),
        3.0: ([-inf, -0.0, 0.0, inf, -8.0, 1.0, 0.015625], [inf, 0.0, 0.0, inf, 12.0, 3.0, 0.1875]),
        -1: ([-0.0, -inf, inf, 0.0, -0.5, 1.0, 4.0], [-0.0, -inf, -inf, -0.0, -0.25, -1.0, -16.0]),
        0: ([1.0] * 7, [0.0] * 7),
        1.0: (x, [1.0] * 7),
        -3.0: ([-0.0, -inf, inf, 0.0, -0.125, 1.0, 64.0], [-0.0, -inf, -inf, -0.0, -0.1875, -3.0, -768.0]),
        1e10: ([inf, 0.0, 0.0, inf, inf, 1.0, 0.0], [-inf, -0.0, 0.0, inf, -inf, 1e10, 0.0]),
    }
    with np.errstate(all="ignore"):
        for exponent, (values, slopes) in exact.items():
            f = functools.partial(raised, exponent=exponent)
            for g, wanted in ((f, values), (pulled(f), slopes)):
                together = compiled(g, backend)(ho.tensor(x)).numpy()
                single = [compiled(g, backend)(ho.tensor(v)).numpy() for v in x]
                for found in (together, np.array(single)):
                    np.testing.assert_array_equal(found, wanted, err_msg=f"{exponent}")
                    kept = ~np.isnan(wanted)
                    assert (np.signbit(found) == np.signbit(wanted))[kept].all(), (exponent, found, wanted)


def test_powers_of_complex_numbers():
    z = ho.tensor([0j, 1e-300 + 1e-300j, 1e160 + 1e160j, 1 + 1j])
    np.testing.assert_array_equal(pushed(pushed(lambda z: z**2))(z).numpy(), [2, 2, 2, 2])
    np.testing.assert_array_equal(pushed(pushed(pushed(lambda z: z**2)))(z).numpy(), [0, 0, 0, 0])
    np.testing.assert_allclose((z**-2).numpy()[2:], [0, -0.5j], atol=1e-16)
    np.testing.assert_allclose(pushed(lambda z: z**-1)(z).numpy()[2:], [0, 0.5j], atol=1e-16)
    assert (z**0).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_ldexp_where_the_power_of_two_is_out_of_range(backend):
    for dtype, x, b, expected in [
        (np.float16, 2.0**-10, 20, 1024.0), (np.float16, 2.0, -25, 2.0**-24), (np.float32, 2.0**-140, 260, 2.0**120),
        (np.float64, 1e-300, 2000, np.ldexp(1e-300, 2000)), (np.float64, 5e-324, 2097, np.ldexp(5e-324, 2097)),
        (np.float64, 0.0, 10**9, 0.0), (np.float64, 1e300, -1100, np.ldexp(1e300, -1100)),
        (np.float64, 1.0, -(10**9), 0.0), (np.float64, -np.inf, -2000, -np.inf), (np.float64, 3.0, 2**40, np.inf),
    ]:  # fmt: skip
        f, x, b = compiled(ho.ldexp, backend), ho.tensor(np.array([x], dtype)), ho.tensor([b])
        found = f(x, b)
        assert found.dtype == dtype
        assert found.numpy()[0] == expected
        slope = compiled(lambda x, b: func.vjp(lambda x: ho.ldexp(x, b), x)[1](ho.ones_like(x) * 2.0**-10)[0], backend)
        with np.errstate(all="ignore"):
            assert slope(x, b).numpy()[0] == np.ldexp(dtype(2.0**-10), np.clip(b.numpy()[0], -4000, 4000))
    half = ho.ldexp(ho.tensor([1e-300, 1e300]), ho.tensor([1500.5, -1500.5]))
    np.testing.assert_allclose(
        half.numpy(), [np.ldexp(1e-300, 1500) * 2**0.5, np.ldexp(1e300, -1500) / 2**0.5], rtol=1e-15
    )
    assert ho.ldexp(ho.tensor([3, 4], dtype=np.int8), ho.tensor([1, -1], dtype=np.int8)).tolist() == [6.0, 2.0]
