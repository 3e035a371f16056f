"""Initial values: bounds and moments by PyTorch's formulas, exact where there is no chance."""

import functools
import math
import re

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.errors import ArgumentError, DtypeError, ShapeError

SHAPE = (60, 50, 4)  # fan_in 200, fan_out 240

#: (initialiser, standard deviation, bound or None)
FORMULAS = [
    (nn.init.uniform, math.sqrt(1 / 12), None),
    (functools.partial(nn.init.uniform, a=-2.0, b=2.0), 4 * math.sqrt(1 / 12), 2.0),
    (functools.partial(nn.init.normal, std=0.2), 0.2, None),
    (nn.init.xavier_uniform, math.sqrt(2 / 440), math.sqrt(6 / 440)),
    (functools.partial(nn.init.glorot_uniform, gain=3.0), 3 * math.sqrt(2 / 440), 3 * math.sqrt(6 / 440)),
    (nn.init.xavier_normal, math.sqrt(2 / 440), None),
    (nn.init.kaiming_uniform, math.sqrt(2 / 200), math.sqrt(6 / 200)),
    (functools.partial(nn.init.he_uniform, a=math.sqrt(5)), math.sqrt(1 / 600), math.sqrt(1 / 200)),
    (functools.partial(nn.init.kaiming_uniform, mode="fan_out"), math.sqrt(2 / 240), math.sqrt(6 / 240)),
    (functools.partial(nn.init.kaiming_normal, nonlinearity="tanh"), 5 / 3 / math.sqrt(200), None),
    (functools.partial(nn.init.he_normal, a=2.0, mode="fan_out"), math.sqrt(2 / 5 / 240), None),
    # The standard deviation of a normal distribution cut at +- 2 of its own.
    (functools.partial(nn.init.trunc_normal, std=0.5, a=-1.0, b=1.0), 0.5 * 0.8796256610342398, 1.0),
]


@pytest.mark.parametrize(("make", "std", "bound"), FORMULAS)
def test_scale(make, std, bound):
    w = make(SHAPE, generator=np.random.default_rng(0)).numpy()
    assert w.shape == SHAPE
    assert abs(w.std() / std - 1) < 0.02
    if bound is not None:
        assert 0.999 * bound < abs(w).max() <= bound
        assert abs(w.mean()) < 0.02 * bound


@pytest.mark.parametrize("make", [make for make, _, _ in FORMULAS] + [nn.init.orthogonal, nn.init.eye, nn.init.ones])
def test_dtype_and_generator(make):
    shape = (6, 5)
    one = make(shape, generator=np.random.default_rng(3), dtype=ho.float32)
    other = make(shape, generator=np.random.default_rng(3), dtype=ho.float32)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert make(shape).dtype == np.float64


def test_bounds_that_are_not_symmetric():
    w = nn.init.trunc_normal(20_000, 1.0, 2.0, 0.5, 4.0, generator=np.random.default_rng(0)).numpy()
    assert 0.5 <= w.min() < 0.501
    assert 3.99 < w.max() <= 4.0
    # mean + std * (phi(alpha) - phi(beta)) / (Phi(beta) - Phi(alpha)) with alpha = -0.25, beta = 1.5
    phi = [math.exp(-t * t / 2) / math.sqrt(2 * math.pi) for t in (-0.25, 1.5)]
    share = (math.erf(1.5 / math.sqrt(2)) + math.erf(0.25 / math.sqrt(2))) / 2
    assert abs(w.mean() - (1 + 2 * (phi[0] - phi[1]) / share)) < 0.02


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (2, 3, 2), (6, 1, 2)])
def test_orthogonal(shape):
    w = nn.init.orthogonal(shape, 2.0).numpy().reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(min(w.shape)), atol=1e-12)


def test_orthogonal_prefers_no_direction():
    generator = np.random.default_rng(0)
    mean = np.mean([nn.init.orthogonal((2, 2), generator=generator).numpy() for _ in range(2000)], axis=0)
    assert abs(mean).max() < 0.08


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [
        ("linear", None, 1.0),
        ("conv_transpose2d", None, 1.0),
        ("sigmoid", None, 1.0),
        ("tanh", None, 1.6666666666666667),
        ("relu", None, 1.4142135623730951),
        ("leaky_relu", None, 1.4141428569978354),
        ("leaky_relu", 0.2, 1.3867504905630728),
        ("selu", None, 0.75),
    ],
)
def test_gains_as_in_pytorch(name, param, gain):
    assert nn.init.calculate_gain(name, param) == pytest.approx(gain, abs=1e-15)


def test_constants():
    assert nn.init.constant((1, 2), 3).tolist() == [[3.0, 3.0]]
    assert nn.init.zeros(2).tolist() == [0.0, 0.0]
    assert nn.init.ones(()).item() == 1.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.init.xavier_uniform(3), ShapeError, "xavier_uniform: Fan in and fan out can not be computed"),
        (lambda: nn.init.kaiming_normal((3,)), ShapeError, "kaiming_normal: Fan in and fan out can not be computed"),
        (lambda: nn.init.kaiming_uniform((3, 2), mode="fan"), ArgumentError, "Mode 'fan' not supported"),
        (lambda: nn.init.calculate_gain("sin"), ArgumentError, "Unsupported nonlinearity 'sin'"),
        (lambda: nn.init.trunc_normal(3, a=2.0, b=1.0), ArgumentError, "got a=2.0 and b=1.0, expected a < b"),
        (lambda: nn.init.orthogonal(3), ShapeError, "2 or more dimensions are supported"),
        (lambda: nn.init.eye((2, 2, 2)), ShapeError, "2 dimensions are supported"),
    ],
)
def test_mistakes_are_named(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("layer", "name", "bound"),
    [
        (nn.linear(400, 30), "weight", 1 / 20),
        (nn.linear(400, 3000), "bias", 1 / 20),
        (nn.gru_cell(50, 100), "weight_ih", 1 / 10),
        (nn.lstm_cell(50, 100), "weight_hh", 1 / 10),
    ],
)
def test_layers_begin_as_in_pytorch(layer, name, bound):
    w = layer.init(0)[name].numpy()
    assert 0.99 * bound < abs(w).max() <= bound
    assert abs(w.std() / (bound / math.sqrt(3)) - 1) < 0.05


def test_a_network_has_the_dtype_that_is_asked_for():
    net = ho.nn.sequential(ho.nn.linear(2, 3), ho.nn.batch_norm(3))
    for dtype, expected in ((None, ho.float64), (ho.float32, ho.float32), ("float16", ho.float16)):
        made = net.init(0, dtype=dtype), net.init_state(dtype=dtype)
        assert {leaf.dtype for leaf in ho.tree.leaves(made)} == {expected}
    ho.set_default_dtype(ho.float32)
    try:
        made = net.init(0), net.init_state(), net.apply(net.init(0), ho.ones(4, 2), state=net.init_state())
    finally:
        ho.set_default_dtype(ho.float64)
    assert {leaf.dtype for leaf in ho.tree.leaves(made)} == {ho.float32}
    for method in (net.init, net.init_state):
        with pytest.raises(DtypeError, match="dtype is int64, expected a floating dtype"):
            method(dtype=ho.int64)
