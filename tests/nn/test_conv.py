"""Convolution, pooling and embedding layers against loops and adjoints."""

import itertools
import math
import re

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.errors import ArgumentError, ShapeError

rng = np.random.default_rng(0)


def test_convolution_as_a_loop():
    layer = nn.conv2d(4, 6, (2, 3), stride=(2, 1), padding=1, dilation=(1, 2), groups=2)
    params, x = layer.init(0), rng.normal(size=(3, 4, 6, 7))
    weight, bias = params["weight"].numpy(), params["bias"].numpy()
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = layer.apply(params, ho.tensor(x)).numpy()
    assert y.shape == (3, 6, 4, 5)
    for o, i, j in itertools.product(range(6), range(4), range(5)):
        window = padded[:, 2 * (o // 3) : 2 * (o // 3) + 2, 2 * i : 2 * i + 2, j : j + 5 : 2]
        np.testing.assert_allclose(y[:, o, i, j], (window * weight[o]).sum((1, 2, 3)) + bias[o], rtol=1e-10, atol=1e-12)


def test_transposed_convolution_is_the_adjoint():
    down = nn.conv2d(2, 4, 3, stride=2, padding=1, groups=2, bias=False)
    up = nn.conv_transpose2d(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False)
    params = down.init(0)
    x, y = ho.tensor(rng.normal(size=(1, 2, 8, 6))), ho.tensor(rng.normal(size=(1, 4, 4, 3)))
    forward = (down.apply(params, x) * y).sum().item()
    assert (up.apply(params, y) * x).sum().item() == pytest.approx(forward, rel=1e-12)


@pytest.mark.parametrize(
    ("layer", "bound"),
    [
        (nn.conv1d(20, 300, 5), 1 / math.sqrt(100)),
        (nn.conv2d(20, 300, (1, 5), groups=2), 1 / math.sqrt(50)),
        (nn.conv_transpose2d(300, 20, (1, 5), groups=2), 1 / math.sqrt(50)),
    ],
)
def test_layers_begin_as_in_pytorch(layer, bound):
    w = layer.init(0)["weight"].numpy()
    assert 0.99 * bound < abs(w).max() <= bound
    assert abs(w.std() / (bound / math.sqrt(3)) - 1) < 0.05


def test_embedding_begins_normal_with_a_row_of_zeros():
    table = nn.embedding(500, 20, padding_idx=-2).init(0)["weight"].numpy()
    assert abs(table.std() - 1) < 0.03
    assert not table[498].any()
    layer = nn.embedding(5, 2, padding_idx=1)
    slope = ho.func.grad(lambda p: layer.apply(p, ho.tensor([1, 2, 2])).sum())(layer.init(0))
    assert slope["weight"].tolist() == [[0.0, 0.0], [0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [0.0, 0.0]]


def test_pooling_layers_take_the_options_of_the_operations():
    x = ho.tensor(rng.normal(size=(2, 3, 5, 5)))
    for layer, expected in (
        (nn.max_pool2d(2, ceil_mode=True), ho.max_pool2d(x, 2, ceil_mode=True)),
        (nn.avg_pool2d(2, 1, 1, count_include_pad=False), ho.avg_pool2d(x, 2, 1, 1, count_include_pad=False)),
        (nn.avg_pool2d(2, divisor_override=3), ho.avg_pool2d(x, 2, divisor_override=3)),
    ):
        np.testing.assert_array_equal(layer.apply({}, x).numpy(), expected.numpy())
    with pytest.raises(ShapeError, match=r"expected \(\[n,\] channels, 2 lengths\)"):
        nn.max_pool2d(2).apply({}, ho.ones(4, 4))


def test_pooling():
    x = ho.tensor(rng.normal(size=(2, 3, 6, 8)))
    blocks = x.numpy().reshape(2, 3, 3, 2, 2, 4)
    np.testing.assert_array_equal(nn.max_pool2d((2, 4)).apply({}, x).numpy(), blocks.max((3, 5)))
    np.testing.assert_allclose(nn.avg_pool2d((2, 4)).apply({}, x).numpy(), blocks.mean((3, 5)), rtol=1e-12)
    np.testing.assert_allclose(nn.adaptive_avg_pool2d((3, 2)).apply({}, x).numpy(), blocks.mean((3, 5)), rtol=1e-12)
    row = x[:, :, 0]
    np.testing.assert_array_equal(nn.max_pool1d(4).apply({}, row).numpy(), row.numpy().reshape(2, 3, 2, 4).max(-1))
    np.testing.assert_allclose(
        nn.adaptive_avg_pool1d(2).apply({}, row).numpy(), nn.avg_pool1d(4).apply({}, row).numpy(), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: nn.conv2d(3, 4, 3, groups=2), ArgumentError, "conv2d: inputs is 3, expected a multiple of groups, 2"),
        (
            lambda: nn.conv2d(3, 4, (3,)),
            ArgumentError,
            "kernel_size is (3,), expected a whole number of at least 1, or 2",
        ),
        (lambda: nn.conv1d(3, 4, 0), ArgumentError, "conv1d: kernel_size is 0, expected a whole number of at least 1"),
        (
            lambda: nn.conv2d(3, 4, 3).apply({}, ho.ones(1, 2, 8, 8)),
            ShapeError,
            "conv2d(3, 4, 3): x has shape (1, 2, 8, 8), expected ([n,] 3 channels, 2 lengths)",
        ),
        (lambda: nn.embedding(5, 2, padding_idx=5), ArgumentError, "padding_idx is 5, expected one of the 5 rows"),
        (lambda: nn.group_norm(2, 3), ArgumentError, "features is 3, expected a multiple of num_groups, 2"),
        (
            lambda: nn.instance_norm(3).apply({}, ho.ones(2, 3)),
            ShapeError,
            "x has shape (2, 3), expected (n, 3, length, ...)",
        ),
        (lambda: nn.group_norm(1, 3).apply({}, ho.ones(2, 4)), ShapeError, "x has shape (2, 4), expected (n, 3, ...)"),
    ],
)
def test_mistakes_are_named(act, error, message):
    with pytest.raises(error, match=re.escape(message)):
        act()
