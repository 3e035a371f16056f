"""Reptile, iMAML, CAVIA, MAML++, Meta-Curvature and T-Nets against loops and closed forms written out here."""

import tracemalloc
import warnings

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.errors import ArgumentError, ConvergenceWarning
from optim import SGD
from optim.meta import CAVIA, IMAML, MAML, MAMLPlusPlus, MetaCurvature, Reptile, TNet, make_step, start
from optim.meta.tasks import LinearRegressions, Quadratics
from tests.optim.meta.members import NET, TASKS, moved
from tests.optim.meta.test_naive_loops import cross_entropy, network

TASK = ho.tree.map(ho.tensor, TASKS[4])


def compare(algorithm, learned, expected_loss):
    """Value and gradient against those of a function of what is learned, in PyTorch's manner."""
    grads, (value, _) = ho.func.grad_and_value(algorithm.loss, has_aux=True)(learned, TASK)
    leaf = ho.tree.map(lambda x: x.detach().clone().requires_grad_(), learned)
    expected = expected_loss(leaf)
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    for path, g, x in zip(ho.tree.paths(grads), ho.tree.leaves(grads), ho.tree.leaves(leaf), strict=True):
        theirs = np.zeros(x.shape) if x.grad is None else x.grad.numpy()
        np.testing.assert_allclose(g.numpy(), theirs, rtol=0, atol=1e-10, err_msg=path)


def steps_by_hand(params, steps, rate, create_graph=True, curvature=None):
    """The parameters after each step, in a list."""
    found = [params]
    for _ in range(steps):
        value = cross_entropy(network(params, TASK.support.x), TASK.support.y)
        places = [(layer, name) for layer in ("head", "layer1") for name in ("bias", "weight")]
        grads = ho.grad(value, [params[layer][name] for layer, name in places], create_graph=create_graph)
        new = {layer: dict(values) for layer, values in params.items()}
        for number, ((layer, name), g) in enumerate(zip(places, grads, strict=True)):
            g = g if curvature is None else curvature(number, g)
            new[layer][name] = params[layer][name] - rate(len(found) - 1, layer) * g
        params = new
        found.append(params)
    return found


def query_loss(params):
    return cross_entropy(network(params, TASK.query.x), TASK.query.y)


def test_reptile_goes_where_training_ends():
    algorithm, outer = Reptile(NET, inner=SGD(lr=0.3), steps=3), SGD(lr=0.25)
    learned = moved(algorithm.init(1))
    leaf = ho.tree.map(lambda x: x.detach().clone().requires_grad_(), learned["params"])
    end = steps_by_hand(leaf, 3, lambda *_: 0.3, create_graph=False)[-1]
    batch = ho.tree.map(lambda x: x[None], TASK)
    stepped, _, told = make_step(algorithm, outer)(learned, start(outer, learned), batch)
    assert told["loss"].item() == pytest.approx(query_loss(end).item(), rel=1e-12)
    for layer in ("layer1", "head"):
        for name in ("weight", "bias"):
            expected = 0.75 * leaf[layer][name].detach() + 0.25 * end[layer][name].detach()
            np.testing.assert_allclose(stepped["params"][layer][name].numpy(), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize("second_order_from", [0, 5])
def test_losses_of_every_step_are_weighted_by_the_iteration(second_order_from):
    algorithm = MAMLPlusPlus(NET, steps=3, multi_step=8, second_order_from=second_order_from)
    learned = moved(algorithm.init(1))
    learned["statistics"] = {"network": {}, "iteration": ho.tensor(2.0)}
    # A quarter of the way from 1 / 3 to 0.01.
    early = 1 / 3 + 0.25 * (0.01 - 1 / 3)
    weights = [early, early, 1 - 2 * early]

    def expected(learned):
        rates = learned["inner"]["lr"]
        every = steps_by_hand(
            learned["params"], 3, lambda step, layer: rates[layer][step], create_graph=not second_order_from
        )
        return sum(weight * query_loss(params) for weight, params in zip(weights, every[1:], strict=True))

    fixed = learned["statistics"]
    algorithm_of = type(
        "Fixed", (), {"loss": lambda self, part, task: algorithm.loss({**part, "statistics": fixed}, task)}
    )
    compare(algorithm_of(), {name: learned[name] for name in ("params", "inner")}, expected)
    assert algorithm.loss(learned, TASK)[1]["statistics"]["iteration"].item() == 3


def test_statistics_and_affine_parameters_of_every_step():
    def norm(features):
        return nn.batch_norm(features, "per_step", steps=2, affine="per_step")

    algorithm = MAMLPlusPlus(nn.mlp([4, 5, 3], ho.tanh, norm=norm), inner=SGD(lr=0.1), steps=2)
    learned, outer = algorithm.init(0), SGD(lr=0.1)
    step = make_step(algorithm, outer, compile="numpy")
    learned, _, told = step(learned, start(outer, learned), TASKS.batch(0, 3))
    counted = learned["statistics"]
    assert counted["iteration"].item() == 1
    # Both rows have met the examples that their steps saw.
    assert (abs(counted["network"]["norm1"]["running_mean"]) > 0).all().item()
    assert np.isfinite(told["loss"].item())
    predict = algorithm.adapt(learned, TASK.support, steps=5)
    assert predict(TASK.query.x).shape == (6, 3)


def test_context_parameters_by_hand():
    net = nn.mlp([4 + 2, 5, 3], ho.tanh)
    algorithm = CAVIA(net, context=2, inner=SGD(lr=0.5), steps=2)

    def with_context(params, context, x):
        return network(params, ho.concatenate([x, context.expand(len(x), 2)], 1))

    def expected(learned):
        context = ho.zeros(2, requires_grad=True)
        for _ in range(2):
            value = cross_entropy(with_context(learned["params"], context, TASK.support.x), TASK.support.y)
            context = context - 0.5 * ho.grad(value, context, create_graph=True)[0]
        return cross_entropy(with_context(learned["params"], context, TASK.query.x), TASK.query.y)

    compare(algorithm, moved(algorithm.init(2)), expected)


def test_images_get_the_context_as_channels():
    net = nn.sequential(nn.conv2d(1 + 3, 2, 3), nn.flatten(), head=nn.linear(8, 2))
    algorithm = CAVIA(net, context=3, steps=1)
    x = ho.tensor(np.random.default_rng(0).normal(size=(4, 1, 4, 4)))
    predict = algorithm.adapt(algorithm.init(0), (x, ho.tensor([0, 1, 0, 1])))
    assert predict(x).shape == (4, 2)


def test_gradients_are_multiplied_along_every_axis():
    algorithm = MetaCurvature(NET, inner=SGD(lr=0.3), steps=2)
    learned = moved(algorithm.init(1))

    def expected(learned):
        def curvature(number, g):
            matrices = learned["curvature"][number]
            return matrices[0] @ g @ matrices[1].T if g.ndim > 1 else matrices[0] @ g

        return query_loss(steps_by_hand(learned["params"], 2, lambda *_: 0.3, curvature=curvature)[-1])

    compare(algorithm, learned, expected)


def test_curvature_begins_as_maml_also_for_convolutions():
    net = nn.sequential(nn.conv2d(1, 2, 3), nn.flatten(), head=nn.linear(8, 3))
    x = np.random.default_rng(0).normal(size=(6, 1, 4, 4))
    task = ((x, np.arange(6) % 3), (x[::-1].copy(), np.arange(6) % 3))
    from optim.meta import Examples, Task

    task = Task(*(Examples(*part) for part in task))
    ours, theirs = (made(net, steps=2).loss(made(net, steps=2).init(0), task)[0] for made in (MetaCurvature, MAML))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)


def test_warps_are_learned_and_never_adapt():
    algorithm = TNet(NET, inner=SGD(lr=0.3), steps=2)
    learned = moved(algorithm.init(1))
    *_, (adapted, _) = algorithm.path(learned, TASK.support, 2)
    for name in ("warp_layer1", "warp_head"):
        np.testing.assert_array_equal(adapted[name]["weight"].numpy(), learned["params"][name]["weight"].numpy())
    assert abs(adapted["layer1"]["weight"] - learned["params"]["layer1"]["weight"]).max().item() > 1e-4
    grads, _ = ho.func.grad(algorithm.loss, has_aux=True)(learned, TASK)
    assert abs(grads["params"]["warp_layer1"]["weight"]).max().item() > 1e-6
    # At the identity it is MAML.
    plain = MAML(NET, inner=SGD(lr=0.3), steps=2)
    begun = algorithm.init(7)
    params = {name: begun["params"][name] for name in ("layer1", "head")}
    assert algorithm.loss(begun, TASK)[0].item() == pytest.approx(plain.loss({"params": params}, TASK)[0].item())


QUADRATICS = Quadratics(features=4, rows=8, condition=10.0)
LINEAR = nn.linear(4, 1, bias=False)


def implicit(steps=60, products=20, **options):
    return IMAML(LINEAR, ho.mse, SGD(lr=0.5), steps=steps, penalty=0.5, products=products, **options)


def exact_gradient(w, task):
    """penalty (H + penalty)^-1 times the gradient of the query loss at the solution."""
    (A, b), (B, c) = task
    H = 2 / 8 * A.T @ A
    end = np.linalg.solve(H + 0.5 * np.eye(4), 2 / 8 * A.T @ b[:, 0] + 0.5 * w)
    g = 2 / 8 * B.T @ (B @ end - c[:, 0])
    return 0.5 * np.linalg.solve(H + 0.5 * np.eye(4), g)


def gradient_of(algorithm, w, index=0):
    learned = {"params": {"weight": ho.tensor(w[None])}}
    return ho.func.grad(algorithm.loss, has_aux=True)(learned, QUADRATICS[index])[0]["params"]["weight"].numpy()[0]


def test_the_implicit_gradient_is_the_closed_form_of_a_quadratic():
    w = np.array([0.5, -1.0, 2.0, 0.1])
    for index in range(3):
        expected = exact_gradient(w, QUADRATICS[index])
        np.testing.assert_allclose(gradient_of(implicit(), w, index), expected, rtol=1e-10)


def test_the_error_of_the_implicit_gradient_falls_with_products():
    w = np.array([0.5, -1.0, 2.0, 0.1])
    expected = exact_gradient(w, QUADRATICS[0])
    errors = [np.linalg.norm(gradient_of(implicit(products=k), w) - expected) for k in (1, 2, 3, 4)]
    assert errors == sorted(errors, reverse=True)
    # Four unknowns take four steps.
    assert errors[3] < 1e-10 * errors[0]


def test_damping_is_added_to_the_system():
    w = np.array([0.5, -1.0, 2.0, 0.1])
    A = QUADRATICS[0].support.x
    H = 2 / 8 * A.T @ A
    scale = np.linalg.solve(H + (0.5 + 0.3) * np.eye(4), H + 0.5 * np.eye(4))
    np.testing.assert_allclose(
        gradient_of(implicit(damping=0.3), w), scale @ exact_gradient(w, QUADRATICS[0]), rtol=1e-9
    )


def test_support_examples_have_a_derivative_too():
    learned, task = {"params": {"weight": ho.ones(1, 4)}}, ho.tree.map(ho.tensor, QUADRATICS[0])

    def value(x):
        return implicit().loss(learned, task._replace(support=task.support._replace(x=x)))[0]

    x = task.support.x
    direction = ho.tensor(np.random.default_rng(0).normal(size=x.shape))
    ours = (ho.func.grad(value)(x) * direction).sum().item()
    theirs = (value(x + 1e-5 * direction) - value(x - 1e-5 * direction)).item() / 2e-5
    assert ours == pytest.approx(theirs, rel=1e-7)


def test_training_that_has_not_converged_is_said():
    outer = SGD(lr=0.1)
    for steps, warns in ((1, True), (60, False)):
        algorithm = implicit(steps)
        step, learned = make_step(algorithm, outer, compile="numpy"), {"params": {"weight": ho.zeros(1, 4)}}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step(learned, start(outer, learned), QUADRATICS.batch(0, 3))
        assert [one.category for one in caught] == [ConvergenceWarning] * warns


def test_memory_does_not_grow_with_inner_steps():
    features = 3000
    task = ho.tree.map(ho.tensor, LinearRegressions(features, shots=5, queries=5)[0])
    learned = {"params": {"weight": ho.zeros(1, features)}}

    def peak(algorithm):
        tracemalloc.start()
        ho.func.grad(algorithm.loss, has_aux=True)(learned, task)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    def made(kind, steps, **options):
        return kind(nn.linear(features, 1, bias=False), ho.mse, SGD(lr=1e-4), steps=steps, **options)

    for kind, options in ((IMAML, {}), (MAML, {"order": 1})):
        few, many = (peak(made(kind, steps, **options)) for steps in (2, 64))
        # What is left are the records of the steps, of which none holds an array.
        assert many < few + 64 * 1000
    few, many = (peak(made(MAML, steps)) for steps in (2, 64))
    assert many > few + 64 * 2000


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: IMAML(LINEAR, penalty=0.0), "penalty is 0.0, expected a number > 0"),
        (lambda: IMAML(LINEAR, damping=-1.0), "damping is -1.0"),
        (lambda: MAMLPlusPlus(NET, steps=0), "MAMLPlusPlus: steps is 0"),
        (lambda: CAVIA(NET, context=0), "CAVIA: context is 0"),
        (lambda: MAML(NET, order=3), "MAML: order is 3"),
        (lambda: MAML(NET, learn=("momenta",)), "SGD has the hyperparameters lr, momentum"),
        (lambda: MAML(NET, adapted="tail").init(0), "adapted names 'tail', but the parameters are head.bias"),
        (lambda: MAML(NET, adapted=lambda name: False).init(0), "chooses none of the parameters"),
    ],
)
def test_options_that_cannot_be_are_refused(make, expected):
    with pytest.raises(ArgumentError, match=expected):
        make()
