"""Derivatives of special functions in their parameters, far from where samples are, recorded from mpmath 1.3."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho

# fmt: off
GAMMAINC = [
    (0.01, 0.5, [-0.5655459117152578, -0.5677203168932935, 1.8989158592135313]),
    (0.5, 3.0, [-0.04724032644797375, -0.08598986897368568, -0.06251605647052302]),
    (2.0, 0.01, [-0.0002746172101555032, 0.0014987981652401206, -0.008062833219976357]),
    (2.5, 40.0, [-2.5267860704828765e-15, -7.197186330457073e-15, -1.9394050008324366e-14]),
    (30.0, 31.0, [-0.07068643603337486, -0.0023176822620203036, 0.0022865720183529083]),
    (1000.0, 900.0, [-6.245709035841566e-05, 6.581064795890883e-06, -6.309809735901934e-07]),
    (0.001, 1e-200, [-290.37075342317917, 133552.50743333166, -61425378.07401254]),
]
BETAINC = [
    (0.01, 0.5, 0.001, [-7.6050815921604755, 0.044658741070008855, 4.02238388551726]),
    (2.0, 3.0, 0.9, [-0.0037206817498923414, 0.007619564844077965, 0.006868545849221845]),
    (1.0, 0.01, 0.98, [-0.01551231176761696, 3.761938574397415, -1.4793814788685273]),
    (300.0, 20.0, 0.93, [-0.004997703934395748, 0.07106743818967733, -0.0006767431305133545]),
]
ZETA = [
    (1.01, 0.5, [-9998.636818226487, 2000000.9755617436, -599999999.327962]),
    (2.5, 0.001, [218442401.6181711, 1508946656.1948304, 10423434224.827997]),
    (2.5, 1000.0, [-0.00015979209945735733, 0.0012196296355368673, -0.009391919430604488]),
    (100.0, 100.0, [-7.341021101029423e-200, 3.3850193751384073e-199, -1.5608737439856885e-198]),
    (1.5, 1000000.0, [-0.03163102802368547, 0.5082608438523464, -8.323452720205653]),
]
POLYGAMMA = [
    (1, -31.25, 19.70771534196305),
    (2, -100.7, -68.83764135467294),
    (3, -1000000.25, 1558.545456544039),
    (4, -30.25, 24481.57477611768),
]
# fmt: on


def derivatives(f, a):
    """The first three in one argument."""
    a = ho.tensor(a, requires_grad=True)
    y, found = f(a), []
    for _ in range(3):
        (y,) = ho.grad(y, a, create_graph=True)
        found.append(y.item())
    return found


@pytest.mark.parametrize(("a", "b", "expected"), GAMMAINC)
def test_gammainc_in_its_parameter(a, b, expected):
    np.testing.assert_allclose(derivatives(lambda a: ho.special.gammainc(a, b), a), expected, rtol=1e-11)
    found = derivatives(lambda a: ho.special.gammaincc(a, b), a)
    np.testing.assert_allclose(found, np.negative(expected), rtol=1e-11)


@pytest.mark.parametrize(("a", "b", "x", "expected"), BETAINC)
def test_betainc_in_its_parameters(a, b, x, expected):
    a, b = ho.tensor(a, requires_grad=True), ho.tensor(b, requires_grad=True)
    in_a, in_b = ho.grad(ho.special.betainc(a, b, x), (a, b), create_graph=True)
    (mixed,) = ho.grad(in_a, b)
    np.testing.assert_allclose([in_a.item(), in_b.item(), mixed.item()], expected, rtol=1e-12)


@pytest.mark.parametrize(("a", "b", "expected"), ZETA)
def test_zeta_in_its_exponent(a, b, expected):
    np.testing.assert_allclose(derivatives(lambda a: ho.special.zeta(a, b), a), expected, rtol=1e-12)


@pytest.mark.parametrize(("n", "x", "expected"), POLYGAMMA)
def test_polygamma_far_below_zero(n, x, expected):
    np.testing.assert_allclose(ho.polygamma(n, ho.tensor(x)).item(), expected, rtol=1e-13)


def test_polygamma_takes_no_more_steps_further_below_zero():
    assert np.isfinite(ho.polygamma(1, ho.tensor(-(2.0**51) - 0.5)).item())
