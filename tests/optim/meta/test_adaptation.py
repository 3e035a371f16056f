"""Adaptation equals a loop written by hand, over tasks and steps, at both orders."""

import gc
import tracemalloc

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim import SGD, Adam
from optim.meta import adapt

RNG = np.random.default_rng(5)
TASKS = {"x": RNG.normal(size=(6, 5, 3)), "y": RNG.normal(size=(6, 5))}


def start():
    rng = np.random.default_rng(1)
    return {"w": ho.tensor(rng.normal(size=(3, 4))), "v": ho.tensor(rng.normal(size=4))}


def loss(params, task):
    prediction = ho.tanh(task["x"] @ params["w"]) @ params["v"]
    return ((prediction - task["y"]) ** 2).mean()


def tasks():
    return ho.tree.map(ho.tensor, TASKS)


def mapped_loss(params, inner, steps, order):
    def after(task):
        return loss(adapt(loss, params, task, inner=inner, steps=steps, order=order), task)

    return ho.func.vmap(after)(tasks()).mean()


def looped_loss(params, rate, steps, order):
    """The same by imperative gradients, task by task, as in a tutorial."""
    total = 0.0
    for i in range(6):
        task = {key: ho.tensor(value[i]) for key, value in TASKS.items()}
        adapted = dict(params)
        for _ in range(steps):
            grads = ho.grad(loss(adapted, task), list(adapted.values()), create_graph=order == 2)
            adapted = {key: p - rate * g for (key, p), g in zip(adapted.items(), grads, strict=True)}
        total = total + loss(adapted, task)
    return total / 6


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("steps", [1, 3])
def test_vmapped_meta_gradient_equals_a_loop_by_hand(order, steps):
    value, gradient = ho.func.grad_and_value(lambda p: mapped_loss(p, SGD(lr=0.2), steps, order))(start())[::-1]
    params = {key: p.requires_grad_() for key, p in start().items()}
    expected = looped_loss(params, 0.2, steps, order)
    expected_gradient = ho.grad(expected, list(params.values()))
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    for ours, theirs in zip(gradient.values(), expected_gradient, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-10)


def test_the_orders_differ():
    first = ho.func.grad(lambda p: mapped_loss(p, SGD(lr=0.2), 2, 1))(start())
    second = ho.func.grad(lambda p: mapped_loss(p, SGD(lr=0.2), 2, 2))(start())
    assert float(abs(first["w"] - second["w"]).max()) > 1e-3


@pytest.mark.parametrize("inner", [SGD(lr=0.1, momentum=0.9), Adam(lr=0.05, eps=0.1)], ids=["momentum", "adam"])
@pytest.mark.parametrize("order", [1, 2])
def test_any_optimizer_may_be_the_inner_one(inner, order):
    """Against central differences; at order 1 of the path with every gradient held at its value."""
    p = start()
    direction = ho.tree.map(lambda x: ho.tensor(RNG.normal(size=x.shape)), p)
    gradient = ho.func.grad(lambda q: mapped_loss(q, inner, 2, order))(p)
    ours = sum(float((gradient[k] * direction[k]).sum()) for k in p)

    held = []
    for i in range(6):
        task = {key: ho.tensor(value[i]) for key, value in TASKS.items()}
        q, state = p, inner.init(p)
        held.append([])
        for _ in range(2):
            held[-1].append(ho.func.grad(loss)(q, task))
            q, state = inner.step(q, held[-1][-1], state)

    def at(h):
        total = 0.0
        for i in range(6):
            task = {key: ho.tensor(value[i]) for key, value in TASKS.items()}
            q = {k: p[k] + h * direction[k] for k in p}
            state = inner.init(q)
            for t in range(2):
                g = ho.func.grad(loss)(q, task) if order == 2 else held[i][t]
                q, state = inner.step(q, g, state)
            total += float(loss(q, task))
        return total / 6

    h = 1e-3
    numerical = (at(-2 * h) - 8 * at(-h) + 8 * at(h) - at(2 * h)) / (12 * h)
    assert ours == pytest.approx(numerical, rel=1e-6)


def test_learning_rates_are_learned_with_the_start():
    """Meta-SGD: the gradient reaches the inner optimizer's fields."""
    task = ho.tree.map(lambda x: x[0], tasks())
    rates = ho.tree.map(lambda x: ho.full(x.shape, 0.1), start())

    def after(rates):
        return loss(adapt(loss, start(), task, inner=SGD(lr=rates), steps=2), task)

    gradient = ho.func.grad(after)(rates)
    h = 1e-4
    shifted = [{**rates, "v": rates["v"].at[1].add(s * h)} for s in (-1, 1)]
    numerical = (float(after(shifted[1])) - float(after(shifted[0]))) / (2 * h)
    assert float(gradient["v"][1]) == pytest.approx(numerical, rel=1e-6)


def test_no_step_returns_the_parameters():
    p = start()
    assert adapt(loss, p, ho.tree.map(lambda x: x[0], tasks()), inner=SGD(lr=0.1), steps=0) is p


def test_third_order_through_adaptation():
    def f(rate):
        return mapped_loss(start(), SGD(lr=rate), 1, 2)

    third = ho.func.grad(ho.func.grad(ho.func.grad(f)))(ho.tensor(0.2))
    h = 1e-2
    second = ho.func.grad(ho.func.grad(f))
    numerical = [float(second(ho.tensor(0.2 + k * h))) for k in (-2, -1, 1, 2)]
    expected = (numerical[0] - 8 * numerical[1] + 8 * numerical[2] - numerical[3]) / (12 * h)
    assert float(third) == pytest.approx(expected, rel=1e-5)


def peak_of_adaptation(steps, order):
    """Bytes that stay alive for the backward pass of `steps` inner steps."""
    rng = np.random.default_rng(0)
    params = {"w": ho.tensor(rng.normal(size=(3, 200))), "v": ho.tensor(rng.normal(size=200))}
    task = {"x": ho.tensor(rng.normal(size=(200, 3))), "y": ho.tensor(rng.normal(size=200))}
    gc.collect()
    tracemalloc.start()

    def f(p):
        return loss(adapt(loss, p, task, inner=SGD(lr=0.01), steps=steps, order=order), task)

    ho.func.grad(f)(params)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_first_order_frees_its_memory():
    # A (200, 200) hidden layer of float64 takes 320 kB. The exact order keeps several of them for every step, the
    # first order none: it grows by the parameters alone, 800 numbers a step.
    growth = {order: (peak_of_adaptation(22, order) - peak_of_adaptation(2, order)) / 20 for order in (1, 2)}
    assert growth[2] > 2 * 320_000
    assert growth[1] < 40_000


@pytest.mark.parametrize(
    ("options", "message"),
    [({"order": 3}, "order is 3, expected 1"), ({"steps": -1}, "steps is -1"), ({"steps": 1.5}, "steps is 1.5")],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        adapt(loss, start(), ho.tree.map(lambda x: x[0], tasks()), inner=SGD(lr=0.1), **options)
