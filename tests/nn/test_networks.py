"""Layers inside layers: names, parts, other heads, state and keys on their way, errors that say where."""

import re
import textwrap

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.errors import ArgumentError, ShapeError, StructureError

x = ho.tensor([[0.3, -1.2], [0.7, 0.4], [-2.0, 0.1]])


def test_sequential_is_the_composition():
    first, second = nn.linear(2, 3), nn.linear(3, 1)
    net = nn.sequential(first, ho.tanh, second)
    params = net.init(0)
    assert list(params) == ["0", "2"]
    expected = second.apply(params["2"], ho.tanh(first.apply(params["0"], x)))
    np.testing.assert_array_equal(net.apply(params, x).numpy(), expected.numpy())


def test_names_of_layers_are_names_of_parameters():
    net = nn.sequential(nn.linear(2, 3), body=nn.sequential(nn.linear(3, 3), ho.relu), head=nn.linear(3, 1))
    assert ho.tree.paths(net.init(0)) == [
        f"[{name}]['{part}']" for name in ("'0'", "'body']['0'", "'head'") for part in ("bias", "weight")
    ]


def test_parts_take_the_parameters_of_the_whole():
    net = nn.mlp([2, 4, 3, 1], ho.tanh)
    params = net.init(0)
    features = net[:-1].apply(params, x)
    np.testing.assert_array_equal(net["head"].apply(params["head"], features).numpy(), net.apply(params, x).numpy())
    assert net[-1] is net["head"]
    assert len(net) == 5


def test_another_head_leaves_the_body():
    net = nn.mlp([2, 4, 3])
    params = net.init(0)
    other = net.replace(head=nn.linear(4, 7))
    params = {**params, "head": other["head"].init(1)}
    assert other.apply(params, x).shape == (3, 7)
    assert net["head"] == nn.linear(4, 3)
    with pytest.raises(ArgumentError, match="there is no layer 'hat'; there are layer1, activation1, head"):
        net.replace(hat=nn.linear(4, 7))


def test_the_body_of_a_seed_does_not_depend_on_the_head():
    one, other = nn.mlp([2, 4, 3]).init(0), nn.mlp([2, 4, 5]).init(0)
    np.testing.assert_array_equal(one["layer1"]["weight"].numpy(), other["layer1"]["weight"].numpy())


def test_state_goes_through_layers_inside():
    net = nn.sequential(nn.linear(2, 3), nn.sequential(norm=nn.batch_norm(3), act=ho.relu), nn.linear(3, 1))
    params, state = net.init(0), net.init_state()
    assert list(state) == ["1"]
    _, after = net.apply_with_state(params, x, state=state)
    hidden = net["0"].apply(params["0"], x)
    np.testing.assert_allclose(after["1"]["norm"]["running_mean"].numpy(), 0.1 * hidden.numpy().mean(0), rtol=1e-12)
    assert float(abs(net.apply(params, x, state=after) - net.apply(params, x, state=state)).max()) > 0


def test_a_seed_may_be_a_generator_that_goes_on():
    generator = np.random.default_rng(0)
    layer = nn.linear(2, 3)
    one, other = layer.init(generator), layer.init(generator)
    assert not np.array_equal(one["weight"].numpy(), other["weight"].numpy())


def test_initializers_are_arguments():
    net = nn.mlp([2, 3, 1], weight_init=nn.init.zeros, bias_init=nn.init.ones)
    params = net.init(0)
    assert [leaf.numpy().tolist() for leaf in ho.tree.leaves(params["layer1"])] == [[1.0] * 3, [[0.0, 0.0]] * 3]


def test_a_missing_parameter_is_named_with_its_place():
    net = nn.sequential(body=nn.sequential(nn.linear(2, 3)), head=nn.linear(3, 1))
    params = net.init(0)
    del params["body"]["0"]["weight"]
    with pytest.raises(
        StructureError, match=re.escape("params lack 'weight' of linear(2, 3) at 'body.0': found 'bias'")
    ):
        net.apply(params, x)
    with pytest.raises(StructureError, match=re.escape("params lack 'weight' of linear(2, 3): found nothing")):
        nn.linear(2, 3).apply({}, x)
    with pytest.raises(StructureError, match=re.escape("params lack 'weight' of linear(2, 3): found list")):
        nn.linear(2, 3).apply([x], x)


def test_wrong_shapes_name_the_layer():
    net = nn.sequential(body=nn.linear(2, 3))
    with pytest.raises(ShapeError, match=re.escape("linear(2, 3) at 'body': x has shape (3,), expected (..., 2)")):
        net.apply(net.init(0), ho.ones(3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.linear(2.5, 1), "linear: inputs is 2.5, expected a whole number of at least 0"),
        (lambda: nn.linear(2, True), "linear: outputs is True, expected a whole number"),
        (lambda: nn.sequential(nn.linear(2, 2), 3), "sequential: 1 is 3, expected a layer, such as nn.linear"),
        (lambda: nn.sequential(nn.linear), "sequential: 0 is linear, expected a layer, such as nn.linear"),
        (lambda: nn.mlp([3]), "mlp: sizes is [3], expected at least two"),
        (lambda: nn.linear(2, 2).init(-1), "seed is -1, expected a whole number of at least 0"),
        (lambda: nn.linear(2, 2).init("a"), "seed is 'a', expected a whole number of at least 0"),
        (lambda: nn.linear(2, 2).init(1.5), "seed is 1.5, expected a whole number of at least 0"),
        (lambda: nn.recurrent(nn.linear(2, 2)), "recurrent: cell is linear(2, 2), expected a cell"),
        (lambda: nn.recurrent(nn.gru_cell(2, 2), "all"), "recurrent: returns is 'all', expected"),
        (lambda: nn.rnn_cell(2, 2, nonlinearity="sin"), "rnn_cell: nonlinearity is 'sin', expected"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


def test_an_ensemble_is_mapped():
    net = nn.mlp([2, 3, 1])
    members = [net.init(seed) for seed in range(4)]
    params = ho.tree.map(lambda *leaves: ho.stack(leaves), *members)
    together = ho.vmap(net.apply, in_dims=(0, None))(params, x)
    for i, member in enumerate(members):
        np.testing.assert_allclose(together[i].numpy(), net.apply(member, x).numpy(), rtol=1e-12)


def test_a_layer_of_ones_own_with_layers_in_its_fields():
    class both(nn.Layer):
        left: nn.Layer
        right: nn.Layer
        scale: float = 2.0

        def forward(self, scope, x):
            return self.scale * scope.run("left", x) * scope.run("right", x)

    net = nn.sequential(both(nn.linear(2, 3), nn.linear(2, 3)))
    params = net.init(0)
    left, right = (net[0].children()[name].apply(params["0"][name], x) for name in ("left", "right"))
    np.testing.assert_allclose(net.apply(params, x).numpy(), 2 * left.numpy() * right.numpy(), rtol=1e-15)
    assert repr(both(nn.linear(2, 3), nn.linear(2, 3), 3.0)) == "both(linear(2, 3), linear(2, 3), scale=3.0)"


def test_how_layers_are_written():
    assert repr(nn.linear(2, 3, bias=False)) == "linear(2, 3, bias=False)"
    assert repr(nn.mlp([2, 3, 1], ho.tanh)) == ("sequential(layer1=linear(2, 3), activation1=tanh, head=linear(3, 1))")


def test_gradients_by_the_eager_tape():
    net = nn.mlp([2, 3, 1], ho.tanh)
    params = net.init(0)
    leaves = ho.tree.map(lambda p: p.requires_grad_(), params)
    net.apply(leaves, x).square().sum().backward()
    expected = ho.func.grad(lambda p: net.apply(p, x).square().sum())(ho.tree.detach(params))
    for leaf, g in zip(ho.tree.leaves(leaves), ho.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(leaf.grad.numpy(), g.numpy(), rtol=1e-12)


def test_a_summary_counts_every_parameter_once():
    class weighted(nn.Layer):
        inner: nn.Layer

        def make_params(self, generator, dtype):
            return {"factor": nn.init.ones(3, dtype=dtype), **super().make_params(generator, dtype)}

        def forward(self, scope, x):
            return scope["factor"] * scope.run("inner", x)

    net = nn.sequential(nn.recurrent(nn.gru_cell(2, 3), returns="outputs"), ho.tanh, body=weighted(nn.mlp([3, 4, 3])))
    summary = """
        name                    layer                              output     parameters
        --------------------------------------------------------------------------------
        0                       recurrent(gru_cell(2, 3), return…  (7, 5, 3)          63
        1                       tanh                               (7, 5, 3)           0
        body.inner.layer1       linear(3, 4)                       (7, 5, 4)          16
        body.inner.activation1  relu                               (7, 5, 4)           0
        body.inner.head         linear(4, 3)                       (7, 5, 3)          15
        body                    weighted(sequential(layer1=linea…  (7, 5, 3)           3
        --------------------------------------------------------------------------------
        all                                                                           97
    """
    assert net.summary((7, 5, 2)).splitlines() == textwrap.dedent(summary).strip().splitlines()
    assert net.summary(ho.ones(7, 5, 2)) == net.summary((7, 5, 2))
