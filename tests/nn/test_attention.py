"""Attention against results that were recorded from PyTorch 2.13."""

import re

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.errors import ArgumentError, ShapeError


def wave(*shape, start=0.0):
    return ho.tensor(np.sin(1.7 * np.arange(np.prod(shape)) + start).reshape(shape))


def waves(layer):
    """Parameters of which the one in place i, by sorted names, is a wave that starts at i."""
    leaves, structure = ho.tree.flatten(layer.init(0))
    return ho.tree.unflatten(structure, [wave(*p.shape, start=i) for i, p in enumerate(leaves)])


#: layer, output for waves, squared norms of the gradients of its squared norm by query, key, value and parameters, and
#: that of the gradient by the query of their sum; by torch.nn.MultiheadAttention.
RECORDED = [
    (
        nn.multi_head_attention(4, 2),
        [1.072063724, -1.252086959, -2.191376881, -1.015456252, 0.945284966, -1.453739882, -2.415231215, -1.20304012],
        [14.9921458, 95.75490448, 494.16389059, 482.36626206, 929.75137422, 150.13503572, 1588.86160934],
        1452309.82305771,
    ),
    (
        nn.multi_head_attention(4, 2, keys=3, values=2),
        [0.357764406, -2.078686803, -2.914365223, -1.445984908, -0.189533144, -2.317856367, -2.782934512, -0.978284282],
        [
            84.8574737,
            5.11127731,
            55.49306517,
            955.86720835,
            8.0575811,
            230.77679591,
            887.3188453,
            12.935023,
            383.12318665,
        ],
        3118550.25081153,
    ),
]


@pytest.mark.parametrize(("layer", "output", "gradients", "second"), RECORDED)
def test_as_recorded_from_pytorch(layer, output, gradients, second):
    params, (_, keys, values) = waves(layer), layer.widths
    inputs = wave(1, 2, 4), wave(1, 3, keys, start=1), wave(1, 3, values, start=2)
    np.testing.assert_allclose(layer.apply(params, *inputs).numpy().ravel(), output, atol=1e-8)

    def norms(query, *others):
        def loss(params, *inputs):
            return layer.apply(params, *inputs).square().sum()

        by_params, *by_inputs = ho.func.grad(loss, argnums=(0, 1, 2, 3))(params, query, *others)
        return ho.stack([g.square().sum() for g in (*by_inputs, *ho.tree.leaves(by_params))])

    np.testing.assert_allclose(norms(*inputs).numpy(), gradients, rtol=1e-7)
    twice = ho.func.grad(lambda *inputs: norms(*inputs).sum())(*inputs)
    assert twice.square().sum().item() == pytest.approx(second, rel=1e-8)


def test_left_out_inputs_are_the_query():
    layer = nn.multi_head_attention(4, 2)
    params, x, other = waves(layer), wave(2, 3, 4), wave(2, 5, 4, start=1)
    np.testing.assert_allclose(layer.apply(params, x).numpy(), layer.apply(params, x, x, x * 1).numpy(), rtol=1e-12)
    np.testing.assert_array_equal(layer.apply(params, x, other).numpy(), layer.apply(params, x, other, other).numpy())


def test_causal_is_the_triangular_mask():
    plain, causal = nn.multi_head_attention(4, 2), nn.multi_head_attention(4, 2, causal=True)
    params, x = waves(plain), wave(2, 3, 4)
    expected = causal.apply(params, x).numpy()
    mask = ho.tensor(np.tri(3) > 0)
    np.testing.assert_allclose(plain.apply(params, x, x, x, mask).numpy(), expected, rtol=1e-12)
    added = ho.tensor(np.where(np.tri(3) > 0, 0.0, -np.inf))
    np.testing.assert_allclose(plain.apply(params, x, x, x, added).numpy(), expected, rtol=1e-12)
    changed = causal.apply(params, x.at[:, 2].set(0.0)).numpy()
    np.testing.assert_allclose(changed[:, :2], expected[:, :2], rtol=1e-12)


def test_axes_in_front_are_batches():
    layer = nn.multi_head_attention(4, 2)
    params, x = waves(layer), wave(2, 3, 5, 4)
    y = layer.apply(params, x)
    assert y.shape == x.shape
    np.testing.assert_allclose(y[1, 2].numpy(), layer.apply(params, x[1, 2]).numpy(), rtol=1e-12)


def test_mistakes_are_named():
    with pytest.raises(ArgumentError, match="features is 5, expected a multiple of heads, 2"):
        nn.multi_head_attention(5, 2)
    layer = nn.multi_head_attention(4, 2, keys=3)
    with pytest.raises(ShapeError, match=re.escape("key has shape (2, 4), expected (..., length, 3)")):
        layer.apply(layer.init(0), ho.ones(2, 4))
