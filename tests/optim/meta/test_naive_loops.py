"""Each algorithm against a loop that is written out here, by imperative gradients, at both orders."""

import numpy as np
import pytest

import hograd as ho
from optim import SGD
from optim.constraints import Positive
from optim.meta import ANIL, BOIL, FOMAML, LSLR, MAML, Learned, MetaSGD
from tests.optim.meta.members import NET, TASKS, moved

TASK = ho.tree.map(ho.tensor, TASKS[4])


def network(params, x):
    hidden = ho.tanh(x @ params["layer1"]["weight"].T + params["layer1"]["bias"])
    return hidden @ params["head"]["weight"].T + params["head"]["bias"]


def cross_entropy(outputs, y):
    shifted = outputs - outputs.detach().max(-1, keepdim=True).values
    return -(shifted - ho.log(ho.exp(shifted).sum(-1, keepdim=True)))[ho.arange(len(y)), y].mean()


def by_hand(learned, steps, order, rate, adapted=("layer1", "head")):
    """The loss after adaptation; rate(step, layer, name) is a number or tensor."""
    params = {layer: dict(values) for layer, values in learned["params"].items()}
    for step in range(steps):
        value = cross_entropy(network(params, TASK.support.x), TASK.support.y)
        places = [(layer, name) for layer in adapted for name in ("weight", "bias")]
        grads = ho.grad(value, [params[layer][name] for layer, name in places], create_graph=order == 2)
        params = {layer: dict(values) for layer, values in params.items()}
        for (layer, name), g in zip(places, grads, strict=True):
            params[layer][name] = params[layer][name] - rate(step, layer, name) * g
    return cross_entropy(network(params, TASK.query.x), TASK.query.y)


CASES = {
    "MAML": (MAML(NET, inner=SGD(lr=0.3), steps=3), lambda learned: by_hand(learned, 3, 2, lambda *_: 0.3)),
    "FOMAML": (FOMAML(NET, inner=SGD(lr=0.3), steps=3), lambda learned: by_hand(learned, 3, 1, lambda *_: 0.3)),
    "ANIL": (ANIL(NET, inner=SGD(lr=0.3), steps=3), lambda learned: by_hand(learned, 3, 2, lambda *_: 0.3, ("head",))),
    "ANIL, first order": (
        ANIL(NET, inner=SGD(lr=0.3), steps=3, order=1),
        lambda learned: by_hand(learned, 3, 1, lambda *_: 0.3, ("head",)),
    ),
    "BOIL": (
        BOIL(NET, inner=SGD(lr=0.3), steps=2),
        lambda learned: by_hand(learned, 2, 2, lambda *_: 0.3, ("layer1",)),
    ),
    "MetaSGD": (
        MetaSGD(NET),
        lambda learned: by_hand(learned, 1, 2, lambda step, layer, name: learned["inner"]["lr"][layer][name]),
    ),
    "LSLR": (
        LSLR(NET, steps=3),
        lambda learned: by_hand(learned, 3, 2, lambda step, layer, name: learned["inner"]["lr"][layer][step]),
    ),
    "LSLR, first order": (
        LSLR(NET, steps=3, order=1),
        lambda learned: by_hand(learned, 3, 1, lambda step, layer, name: learned["inner"]["lr"][layer][step]),
    ),
    "a positive rate of each parameter": (
        MAML(NET, steps=2, learn={"lr": Learned(per="parameter", within=Positive())}),
        lambda learned: by_hand(learned, 2, 2, lambda step, layer, name: ho.exp(learned["inner"]["lr"][layer][name])),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: "")
@pytest.mark.parametrize("backend", [None, "numpy"], ids=["eager", "compiled"])
def test_value_and_gradient_are_those_of_a_loop_by_hand(case, backend):
    algorithm, expected_loss = case
    learned = moved(algorithm.init(1))
    function = ho.func.grad_and_value(algorithm.loss, has_aux=True)
    if backend is not None:
        function = ho.compile(function, backend=backend)
    grads, (value, _) = function(learned, TASK)
    leaf = ho.tree.map(lambda x: x.detach().clone().requires_grad_(), learned)
    expected = expected_loss(leaf)
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    for path, g, x in zip(ho.tree.paths(grads), ho.tree.leaves(grads), ho.tree.leaves(leaf), strict=True):
        np.testing.assert_allclose(g.numpy(), x.grad.numpy(), rtol=0, atol=1e-10, err_msg=path)


def test_the_orders_differ():
    learned = moved(MAML(NET).init(1))
    first, second = (
        ho.func.grad(MAML(NET, inner=SGD(lr=0.3), order=order).loss, has_aux=True)(learned, TASK)[0] for order in (1, 2)
    )
    assert abs(first["params"]["head"]["weight"] - second["params"]["head"]["weight"]).max().item() > 1e-3
