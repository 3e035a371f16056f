"""What every layer promises: pure functions of plain trees, right to third order, mapped as in a loop."""

import pickle

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.check import gradcheck

rng = np.random.default_rng(0)


def normal(*shape):
    return ho.tensor(rng.normal(size=shape))


#: name -> (layer, inputs, options of apply)
LAYERS = {
    "linear": (nn.linear(3, 2), (normal(4, 3),), {}),
    "linear without bias": (nn.linear(3, 2, bias=False), (normal(3),), {}),
    "batch_norm transductive": (nn.batch_norm(2, "transductive"), (normal(3, 2, 2),), {}),
    "batch_norm running": (nn.batch_norm(2), (normal(4, 2),), {}),
    "batch_norm in training": (nn.batch_norm(2, affine=False), (normal(4, 2),), {"train": True}),
    "batch_norm per step": (
        nn.batch_norm(2, "per_step", steps=3, affine="per_step"),
        (normal(4, 2),),
        {"train": True, "step": 1},
    ),
    "rnn_cell": (nn.rnn_cell(2, 3), (normal(2, 2),), {}),
    "gru_cell": (nn.gru_cell(2, 2), (normal(3, 2), normal(3, 2)), {}),
    "lstm_cell": (nn.lstm_cell(2, 2, bias=False), (normal(2),), {}),
    "recurrent gru": (nn.recurrent(nn.gru_cell(2, 2)), (normal(3, 2),), {}),
    "recurrent lstm": (nn.recurrent(nn.lstm_cell(2, 2), returns="outputs", reverse=True), (normal(2, 1, 2),), {}),
    "embedding": (nn.embedding(4, 3), (ho.tensor([[0, 1], [3, 3]]),), {}),
    "conv1d": (nn.conv1d(2, 3, 2, stride=2, padding=1, dilation=2), (normal(2, 2, 6),), {}),
    "conv2d": (nn.conv2d(2, 4, (2, 3), padding="same", groups=2), (normal(1, 2, 3, 4),), {}),
    "conv3d": (nn.conv3d(1, 2, 2, bias=False), (normal(1, 2, 3, 2),), {}),
    "conv_transpose1d": (nn.conv_transpose1d(2, 3, 3, stride=2), (normal(2, 2, 3),), {}),
    "conv_transpose2d": (
        nn.conv_transpose2d(2, 2, 2, stride=2, output_padding=1, groups=2),
        (normal(1, 2, 2, 2),),
        {},
    ),
    "conv_transpose3d": (nn.conv_transpose3d(2, 1, 2, stride=(1, 2, 1), bias=False), (normal(2, 2, 1, 2),), {}),
    "prelu": (nn.prelu(3), (normal(2, 3, 2),), {}),
    "instance_norm": (nn.instance_norm(2, affine=True), (normal(2, 2, 3),), {}),
    "group_norm": (nn.group_norm(2, 4), (normal(2, 4),), {}),
    "layer_norm": (nn.layer_norm((2, 3)), (normal(2, 2, 3),), {}),
    "rms_norm": (nn.rms_norm(3), (normal(2, 3),), {}),
    "dropout": (nn.sequential(nn.linear(3, 4), nn.dropout(0.5)), (normal(2, 3),), {"train": True, "key": 1}),
    "attention": (nn.multi_head_attention(4, 2), (normal(2, 3, 4),), {}),
    "attention to others": (
        nn.multi_head_attention(2, 1, keys=3, values=1, causal=True, bias=False),
        (normal(2, 2), normal(3, 3), normal(3, 1)),
        {},
    ),
    "attention with dropout": (
        nn.multi_head_attention(2, 2, dropout=0.3),
        (normal(3, 2), normal(2, 2)),
        {"train": True, "key": (4, 5)},
    ),
    "max_pool1d": (nn.sequential(nn.conv1d(1, 2, 2), nn.max_pool1d(2, 1)), (normal(1, 4),), {}),
    "max_pool2d": (nn.sequential(nn.conv2d(1, 1, 2), nn.max_pool2d(2, padding=1)), (normal(1, 4, 4),), {}),
    "avg_pool1d": (nn.sequential(nn.conv1d(1, 2, 2), nn.avg_pool1d(2, padding=1)), (normal(1, 4),), {}),
    "avg_pool2d": (nn.sequential(nn.conv2d(1, 1, 2), nn.avg_pool2d((1, 2))), (normal(1, 4, 4),), {}),
    "adaptive_avg_pool1d": (nn.sequential(nn.conv1d(1, 2, 2), nn.adaptive_avg_pool1d(2)), (normal(1, 4),), {}),
    "adaptive_avg_pool2d": (nn.sequential(nn.conv2d(1, 1, 2), nn.adaptive_avg_pool2d(1)), (normal(1, 4, 4),), {}),
    "flatten": (nn.sequential(nn.flatten(), nn.linear(6, 1)), (normal(2, 3, 2),), {}),
    "sequential": (nn.sequential(nn.linear(2, 3), ho.tanh, head=nn.linear(3, 1)), (normal(2, 2),), {}),
    "residual": (nn.residual(nn.linear(2, 3), nn.linear(2, 3, bias=False)), (normal(2, 2),), {}),
    "mlp": (nn.mlp([2, 3, 2], ho.tanh, norm=lambda n: nn.batch_norm(n, "transductive")), (normal(4, 2),), {}),
}

every_layer = pytest.mark.parametrize(("layer", "inputs", "options"), LAYERS.values(), ids=LAYERS.keys())


def close(found, expected, tolerance=1e-12):
    found, expected = ho.tree.leaves(found), ho.tree.leaves(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance)


def perturbed(params, seed=0):
    """Parameters at a place where nothing is special: not zeros, not ones."""
    source = np.random.default_rng(seed)
    return ho.tree.map(lambda p: p + ho.tensor(0.3 * source.normal(size=p.shape)), params)


@every_layer
def test_derivatives_to_third_order_in_both_modes(layer, inputs, options):
    state = layer.init_state()
    floating = [x for x in inputs if x.is_floating_point()]
    others = [x for x in inputs if not x.is_floating_point()]

    def f(params, *floating):
        return layer.apply(params, *floating, *others, state=state, **options)

    assert gradcheck(f, (perturbed(layer.init(0)), *floating), order=3, directions=2, eps=3e-4)


@every_layer
def test_mapped_over_parameters_as_in_a_loop(layer, inputs, options):
    sets = [{**perturbed(layer.init(seed), seed), "factor": ho.tensor(1.0 + seed)} for seed in range(3)]
    stacked = ho.tree.map(lambda *leaves: ho.stack(leaves), *sets)

    def loss(params):
        y = layer.apply(params, *inputs, state=layer.init_state(), **options)
        return params["factor"] * sum((leaf**2).sum() for leaf in ho.tree.leaves(y))

    # Every element draws what it would draw alone.
    mapped = ho.func.vmap(ho.func.grad_and_value(loss), randomness="same")(stacked)
    for i, params in enumerate(sets):
        close(ho.tree.map(lambda leaf, i=i: leaf[i], mapped), ho.func.grad_and_value(loss)(params))


@every_layer
def test_float32_stays(layer, inputs, options):
    params = layer.init(0, dtype=ho.float32)
    inputs = [x.astype(ho.float32) if x.is_floating_point() else x for x in inputs]
    state = layer.init_state(dtype=ho.float32)
    y, state = layer.apply_with_state(params, *inputs, state=state, **{"train": False, **options})
    assert {leaf.dtype for leaf in ho.tree.leaves((params, y, state))} == {np.dtype("float32")}


@every_layer
def test_equal_seeds_give_equal_parameters(layer, inputs, options):
    close(layer.init((3, 4)), layer.init(np.random.default_rng((3, 4))), 0)
    _ = ho.manual_seed(5)
    first = layer.init()
    _ = ho.manual_seed(5)
    close(first, layer.init(), 0)


@every_layer
def test_nothing_that_is_given_is_changed(layer, inputs, options):
    params, state = layer.init(0), layer.init_state()
    copies = [[leaf.numpy().copy() for leaf in ho.tree.leaves(tree)] for tree in (params, state, inputs)]
    structures = [ho.tree.structure(tree) for tree in (params, state)]
    layer.apply_with_state(params, *inputs, state=state, **options)
    for tree, copy in zip((params, state, inputs), copies, strict=True):
        for leaf, before in zip(ho.tree.leaves(tree), copy, strict=True):
            np.testing.assert_array_equal(leaf.numpy(), before)
    assert structures == [ho.tree.structure(tree) for tree in (params, state)]


@every_layer
def test_the_state_keeps_its_structure(layer, inputs, options):
    state = layer.init_state()
    _, after = layer.apply_with_state(layer.init(0), *inputs, state=state, **options)
    assert ho.tree.structure(after) == ho.tree.structure(state)
    assert [s.shape for s in ho.tree.leaves(after)] == [s.shape for s in ho.tree.leaves(state)]


@every_layer
def test_a_summary_fits_80_columns(layer, inputs, options):
    lines = layer.summary(*inputs).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].split() == ["all", f"{nn.count(layer.init(0)):,}"]


@pytest.mark.parametrize("layer", [layer for layer, _, _ in LAYERS.values() if "lambda" not in repr(layer)], ids=repr)
def test_a_layer_is_a_value(layer):
    assert pickle.loads(pickle.dumps(layer)) == layer
    assert hash(layer) == hash(pickle.loads(pickle.dumps(layer)))
