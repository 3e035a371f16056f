"""Orthogonal polynomials, and waves far away: derivatives at the ends, numbers that overflow, degrees of any kind."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hograd as ho
from hograd import func, special

inf, nan = math.inf, math.nan


def derivatives(f, x, count):
    """f and its derivatives, elementwise."""
    found = [f]
    for _ in range(count):
        found.append(lambda z, g=found[-1]: func.vjp(g, z)[1](ho.ones_like(z))[0])
    return [g(ho.tensor(x)).tolist() for g in found]


POLYNOMIALS = [name for name in special.__all__ if "polynomial" in name]

#: The value and three derivatives of degree 5 at 1, by the coefficients.
AT_ONE = {
    "chebyshev_polynomial_t": [1, 25, 200, 840],
    "chebyshev_polynomial_u": [6, 70, 448, 1728],
    "chebyshev_polynomial_v": [1, 30, 280, 1344],
    "chebyshev_polynomial_w": [11, 110, 616, 2112],
    "shifted_chebyshev_polynomial_t": [1, 50, 800, 6720],
    "shifted_chebyshev_polynomial_u": [6, 140, 1792, 13824],
    "shifted_chebyshev_polynomial_v": [1, 60, 1120, 10752],
    "shifted_chebyshev_polynomial_w": [11, 220, 2464, 16896],
    "hermite_polynomial_h": [-8, -200, -320, 960],
    "hermite_polynomial_he": [6, -10, -40, 0],
    "laguerre_polynomial_l": [-0.4666666666666667, 0.7916666666666667, 2.3333333333333335, -5.5],
    "legendre_polynomial_p": [1, 15, 105, 420],
}


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_derivatives_at_an_end_of_the_interval(name):
    found = derivatives(lambda x: getattr(special, name)(x, 5), 1.0, 3)
    np.testing.assert_allclose(found, AT_ONE[name], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_what_overflows_has_the_sign_of_the_leading_power(name):
    sign = -1 if name == "laguerre_polynomial_l" else 1
    x = [1e200, -1e200, inf, -inf, nan]
    value, slope, *_, last, beyond = derivatives(lambda x: getattr(special, name)(x, 5), x, 6)
    np.testing.assert_array_equal(value, [sign * inf, -sign * inf, sign * inf, -sign * inf, nan])
    np.testing.assert_array_equal(slope, [sign * inf] * 4 + [nan])
    np.testing.assert_allclose(last[:4], last[0], rtol=1e-13)
    assert last[0] * sign > 0
    assert beyond[:4] == [0.0] * 4


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_degrees_are_rounded_towards_zero_and_have_no_derivative(name):
    f = getattr(special, name)
    x = ho.tensor([0.3, -0.6], requires_grad=True)
    n = ho.tensor([[-2.0], [-0.5], [0.0], [2.9]], requires_grad=True)
    y = f(x, n)
    np.testing.assert_array_equal(y.detach(), [[0, 0], [1, 1], [1, 1], f(x.detach(), 2).tolist()])
    by_x, by_n = ho.grad(y.sum(), [x, n])
    np.testing.assert_array_equal(by_x, func.grad(lambda x: f(x, 2).sum())(x.detach()))
    assert by_n.tolist() == [[0.0]] * 4
    assert math.isnan(f(x.detach(), nan)[0].item())
    assert f(ho.tensor([1, 2]), 3).dtype == ho.float64
    assert f(ho.tensor([0.5], dtype=ho.float32), ho.tensor([3])).dtype == ho.float32
    assert f(ho.zeros(0, 2), 3).shape == (0, 2)


def test_airy_far_away():
    x = [-inf, -1e300, -123456.0, 1e3, 1e300, inf, nan]
    value, slope, second, third = derivatives(special.airy_ai, x, 3)
    # By mpmath.
    np.testing.assert_allclose(value[2:], [-0.01409687158029277, 0, 0, 0, nan], rtol=3e-8)
    np.testing.assert_allclose(slope[2:5], [-9.343925251151717, 0, 0], rtol=3e-8)
    assert value[0] == 0.0
    assert value[1] == 0.0
    assert second[2] == x[2] * value[2]
    assert third[2] == value[2] + x[2] * slope[2]


def test_spherical_bessel_of_zero_and_infinity():
    found = derivatives(special.spherical_bessel_j0, [0.0, inf, -inf], 4)
    np.testing.assert_allclose(found, [[1, 0, 0], [0, 0, 0], [-1 / 3, 0, 0], [0, 0, 0], [1 / 5, 0, 0]], atol=1e-15)
