"""Recurrent cells against results that were recorded from PyTorch 2.13, and sequences against loops."""

import re

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.errors import ArgumentError, ShapeError


def wave(*shape, start=0.0):
    return ho.tensor(np.sin(1.7 * np.arange(np.prod(shape)) + start).reshape(shape))


def waves(cell):
    """The parameters that were recorded: the one in place i of PyTorch's order is a wave that starts at i."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    params = cell.init(0)
    return {name: wave(*params[name].shape, start=i) for i, name in enumerate(names)}


#: cell, outputs for wave(3, 1, 2, start=0.5), squared norms of the gradients of their squared norm by input and
#: parameters, all by torch.nn.RNN, GRU and LSTM.
RECORDED = [
    (
        nn.rnn_cell(2, 2),
        [0.951950362, -0.9837004265, 0.6668435213, -0.9044693105, 0.9265836306, -0.9889932052],
        [1.5513489173, 0.1579114208, 2.4856886725, 2.1879713663, 2.1879713663],
    ),
    (
        nn.gru_cell(2, 2),
        [0.3380525754, -0.2702227346, -0.0682285138, -0.287889979, 0.3820947222, -0.4915495976],
        [0.2988047395, 0.3005898373, 0.0097208623, 0.6451312772, 0.4945668179],
    ),
    (
        nn.lstm_cell(2, 2),
        [0.3679435947, -0.0667776706, -0.0053901483, -0.2462111868, 0.4535580615, -0.204657442],
        [0.1170440156, 0.053852353, 0.0094859727, 0.3167693067, 0.3167693067],
    ),
]
CELLS = [cell for cell, _, _ in RECORDED]


@pytest.mark.parametrize(("cell", "outputs", "gradients"), RECORDED, ids=lambda v: repr(v) if v in CELLS else "")
def test_as_recorded_from_pytorch(cell, outputs, gradients):
    net, x, params = nn.recurrent(cell, returns="outputs"), wave(3, 1, 2, start=0.5), waves(cell)

    def loss(x, params):
        return net.apply({"cell": params}, x).square().sum()

    np.testing.assert_allclose(net.apply({"cell": params}, x).numpy().ravel(), outputs, atol=1e-9)
    by_x, by_params = ho.func.grad(loss, argnums=(0, 1))(x, params)
    found = [by_x, *(by_params[name] for name in params)]
    np.testing.assert_allclose([g.square().sum().item() for g in found], gradients, atol=1e-9)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_sequence_is_a_loop_over_the_cell(cell, reverse):
    x, params = wave(4, 3, 2), waves(cell)
    carry, loop = None, []
    for step in reversed(x) if reverse else x:
        carry = cell.apply(params, step, *(() if carry is None else (carry,)))
        loop.append(cell.hidden_of(carry))
    expected = ho.stack(loop[::-1] if reverse else loop).numpy()
    outputs, last = nn.recurrent(cell, reverse=reverse).apply({"cell": params}, x)
    np.testing.assert_allclose(outputs.numpy(), expected, rtol=1e-13)
    for a, b in zip(ho.tree.leaves(last), ho.tree.leaves(carry), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13)
    alone = nn.recurrent(cell, returns="last", reverse=reverse).apply({"cell": params}, x)
    np.testing.assert_allclose(alone.numpy(), expected[0 if reverse else -1], rtol=1e-13)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_two_halves_with_the_carry_are_the_whole(cell):
    net, x, params = nn.recurrent(cell), wave(5, 2, 2), {"cell": waves(cell)}
    whole, _ = net.apply(params, x)
    first, carry = net.apply(params, x[:2])
    second, _ = net.apply(params, x[2:], carry)
    np.testing.assert_allclose(ho.cat([first, second]).numpy(), whole.numpy(), rtol=1e-13)


def test_batch_first_and_no_batch():
    cell = nn.gru_cell(2, 3)
    x, params = wave(4, 3, 2), nn.recurrent(cell).init(0)
    outputs, _ = nn.recurrent(cell).apply(params, x)
    swapped, _ = nn.recurrent(cell, batch_first=True).apply(params, x.swapaxes(0, 1))
    np.testing.assert_allclose(swapped.swapaxes(0, 1).numpy(), outputs.numpy(), rtol=1e-13)
    alone, last = nn.recurrent(cell, batch_first=True).apply(params, x[:, 1])
    np.testing.assert_allclose(alone.numpy(), outputs[:, 1].numpy(), rtol=1e-13)
    assert last.shape == (3,)


def test_an_empty_sequence_returns_the_carry():
    net = nn.recurrent(nn.gru_cell(2, 3))
    outputs, carry = net.apply(net.init(0), ho.zeros(0, 4, 2), ho.ones(4, 3))
    assert outputs.shape == (0, 4, 3)
    assert carry.numpy().tolist() == np.ones((4, 3)).tolist()


def test_mistakes_are_named():
    cell, net = nn.lstm_cell(2, 3), nn.recurrent(nn.lstm_cell(2, 3))
    with pytest.raises(ArgumentError, match=re.escape("the carry is Tensor, expected the pair (h, c)")):
        cell.apply(cell.init(0), ho.ones(2), ho.ones(3))
    with pytest.raises(ShapeError, match=re.escape("at 'cell': x has shape (4, 3), expected (..., 2)")):
        net.apply(net.init(0), ho.ones(4, 3))
    with pytest.raises(ShapeError, match=re.escape("x has shape (2,), expected a sequence of inputs")):
        net.apply(net.init(0), ho.ones(2))
