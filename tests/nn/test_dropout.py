"""Dropout: what is dropped is a function of the key and of the layer's name."""

import re

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.errors import ArgumentError, LevelError

layer, x = nn.dropout(0.25), ho.ones(100, 100)


def mask(key, net=layer):
    return net.apply({}, x, train=True, key=key).numpy()


def test_the_mean_stays():
    y = mask(0)
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert abs(y.mean() - 1) < 0.02


@pytest.mark.parametrize("key", [3, (3,), [3], np.int64(3), ho.tensor(3)])
def test_equal_keys_drop_the_same(key):
    np.testing.assert_array_equal(mask(key), mask(3))


def test_keys_are_independent():
    for other in (4, (3, 0), (0, 3)):
        share = (mask(3) == mask(other)).mean()
        assert abs(share - (0.75**2 + 0.25**2)) < 0.02


def test_layers_of_one_network_drop_independently():
    net = nn.sequential(layer, ho.abs, other=layer)
    y = mask(3, net)
    assert abs((y > 0).mean() - 0.75**2) < 0.02


def test_a_layer_in_front_leaves_the_draws():
    one = nn.sequential(drop=layer)
    other = nn.sequential(first=nn.dropout(0.0), drop=layer)
    np.testing.assert_array_equal(mask(3, one), mask(3, other))


def test_the_global_generator_is_not_touched():
    _ = ho.manual_seed(0)
    expected = ho.rand(3).tolist()
    _ = ho.manual_seed(0)
    mask(3)
    assert ho.rand(3).tolist() == expected


def test_off_unless_in_training():
    np.testing.assert_array_equal(layer.apply({}, x, key=3).numpy(), x.numpy())
    np.testing.assert_array_equal(nn.dropout(0.0).apply({}, x, train=True).numpy(), x.numpy())
    assert nn.dropout(1.0).apply({}, x, train=True, key=0).sum().item() == 0


def test_the_derivative_is_the_mask():
    slope = ho.func.grad(lambda v: layer.apply({}, v, train=True, key=3).sum())(x)
    np.testing.assert_array_equal(slope.numpy(), mask(3))


def test_inside_vmap():
    def f(row):
        return layer.apply({}, row, train=True, key=3)

    same = ho.vmap(f, randomness="same")(x).numpy()
    assert (same == same[0]).all()
    different = ho.vmap(f, randomness="different")(x).numpy()
    assert not (different == different[0]).all()
    with pytest.raises(LevelError, match='randomness="different" or "same"'):
        ho.vmap(f)(x)
    with pytest.raises(LevelError, match="key is mapped by vmap, but draws need plain numbers"):
        ho.vmap(lambda row, key: layer.apply({}, row, train=True, key=key))(x, ho.arange(100))


def test_mistakes_are_named():
    net = nn.sequential(body=nn.sequential(layer))
    with pytest.raises(ArgumentError, match=re.escape("dropout(p=0.25) at 'body.0' draws random numbers in training")):
        net.apply({}, x, train=True)
    with pytest.raises(ArgumentError, match="key is -1, expected a whole number of at least 0"):
        layer.apply({}, x, train=True, key=-1)
    with pytest.raises(ArgumentError, match="dropout probability has to be between 0 and 1, but got 2"):
        nn.dropout(2)
