"""Hyperparameters learned on the way: against the rules of the papers, written out."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim import SGD, Adam, PolyakSGD
from optim.hyper import Bilevel, Online, Reverse, hypergradient

RNG = np.random.default_rng(6)
HALF = RNG.normal(size=(5, 5))
H, A, START = HALF @ HALF.T / 10 + np.eye(5), RNG.normal(size=5), RNG.normal(size=5)
BETA = 1e-3


def gradient(w):
    return H @ w - np.sin(w) * A


def run(optimizer, steps=100):
    w, rates = ho.tensor(START), []
    state = optimizer.init(w)
    for _ in range(steps):
        w, state = optimizer.step(w, ho.tensor(gradient(w.numpy())), state)
        rates.append(float(state["learned"]["lr"]))
    return w.numpy(), np.array(rates)


def test_sgd_follows_the_rule_of_hypergradient_descent():
    w, lr, last, rates = START, 0.05, np.zeros(5), []
    for _ in range(100):
        g = gradient(w)
        lr = lr + BETA * g @ last
        w, last = w - lr * g, g
        rates.append(lr)
    found, learned = run(Online(SGD(lr=0.05), by=SGD(lr=BETA)))
    np.testing.assert_allclose(learned, rates, rtol=1e-12)
    np.testing.assert_allclose(found, w, rtol=1e-11, atol=1e-14)
    assert max(rates) > 1.05 * 0.05


def test_nesterov_follows_the_rule():
    w, lr, m, last, rates = START, 0.02, np.zeros(5), np.zeros(5), []
    for t in range(100):
        g = gradient(w)
        lr = lr + BETA * g @ last
        m = g if t == 0 else 0.9 * m + g
        last = g + 0.9 * m
        w = w - lr * last
        rates.append(lr)
    _, learned = run(Online(SGD(lr=0.02, momentum=0.9, nesterov=True), by=SGD(lr=BETA)))
    np.testing.assert_allclose(learned, rates, rtol=1e-12)


def test_adam_follows_the_rule():
    w, lr, m, v, last, rates = START, 0.02, np.zeros(5), np.zeros(5), np.zeros(5), []
    for t in range(1, 101):
        g = gradient(w)
        lr = lr + 1e-5 * g @ last
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        last = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        w = w - lr * last
        rates.append(lr)
    _, learned = run(Online(Adam(lr=0.02), by=SGD(lr=1e-5)))
    np.testing.assert_allclose(learned, rates, rtol=1e-12)


def test_a_tower_of_three_follows_its_recursion():
    w, lr, beta, last, last_slope, rates = START, 0.05, BETA, np.zeros(5), 0.0, []
    for _ in range(100):
        g = gradient(w)
        slope = -g @ last
        beta = beta + 1e-6 * slope * last_slope
        lr = lr - beta * slope
        w, last, last_slope = w - lr * g, g, slope
        rates.append(lr)
    _, learned = run(Online(SGD(lr=0.05), by=Online(SGD(lr=BETA), by=SGD(lr=1e-6))))
    np.testing.assert_allclose(learned, rates, rtol=1e-12)


def test_an_optimizer_that_asks_for_the_loss_gets_it():
    def step(w, lr, g, value):
        return w - lr * min(value / (g @ g), 0.5) * g

    w, lr, before, rates = START, 0.3, None, []
    optimizer = Online(PolyakSGD(lr=0.3, largest=0.5), by=SGD(lr=BETA))
    ours = ho.tensor(START)
    state = optimizer.init(ours)
    for _ in range(30):
        g, value = H @ w, 0.5 * w @ H @ w
        if before is not None:
            lr = lr - BETA * g @ (step(*before[:1], 1.0, *before[1:]) - before[0])
        before, w = (w, g, value), step(w, lr, g, value)
        rates.append(lr)
        ours, state = optimizer.step(ours, ho.tensor(g), state, value=value)
        assert float(state["learned"]["lr"]) == pytest.approx(lr, rel=1e-12)
    np.testing.assert_allclose(ours.numpy(), w, rtol=1e-11)
    assert max(rates) > 0.304
    assert hypergradient(
        Bilevel(lambda w, opt: (w**2).sum(), lambda w, opt: (w**2).sum(), init=ho.tensor(START)), optimizer, Reverse(3)
    ).hypergrad.optimizer.lr.isfinite()


def test_several_hyperparameters_of_trees_of_parameters():
    optimizer = Online(Adam(lr=0.02, betas=(0.9, 0.99)), by=Adam(lr=1e-3), learn=("lr", "betas"))
    params = {"a": ho.tensor(START), "b": ho.tensor(1.0)}
    state = optimizer.init(params)
    losses = []
    for _ in range(60):
        grads, loss = ho.func.grad_and_value(lambda p: (p["a"] ** 2).sum() + (p["b"] - 3) ** 2)(params)
        losses.append(float(loss))
        params, state = optimizer.step(params, grads, state)
    learned = state["learned"]
    assert float(learned["lr"]) > 0.03
    assert all(float(b) != before for b, before in zip(learned["betas"], (0.9, 0.99), strict=True))
    assert losses[-1] < 0.25 * losses[0]


def test_the_whole_tower_is_differentiable():
    problem = Bilevel(
        lambda w, opt: (w @ (ho.tensor(H) @ w)) / 2 + (ho.cos(w) * ho.tensor(A)).sum(),
        lambda w, opt: (w**2).sum(),
        init=ho.tensor(START),
    )
    tower = ho.tree.map(ho.tensor, Online(SGD(lr=0.05), by=SGD(lr=BETA)))
    found = hypergradient(problem, tower, Reverse(8)).hypergrad
    assert isinstance(found, Online)
    for at, slope in (("optimizer", found.optimizer.lr), ("by", found.by.lr)):
        h, values = 1e-6, []
        for sign in (-1, 1):
            part = getattr(tower, at)
            moved = tower.replace(**{at: part.replace(lr=part.lr + sign * h)})
            values.append(float(hypergradient(problem, moved, Reverse(8)).value))
        assert float(slope) == pytest.approx((values[1] - values[0]) / (2 * h), rel=1e-6)


def test_hypergradient_descent_makes_up_for_a_rate_that_is_too_small():
    def loss_after(optimizer):
        w = ho.tensor(START)
        state = optimizer.init(w)
        for _ in range(100):
            w, state = optimizer.step(w, ho.tensor(H) @ w, state)
        return float(w @ (ho.tensor(H) @ w))

    for plain, beta in ((SGD(lr=1e-3), 1e-3), (Adam(lr=1e-3), 1e-4)):
        assert loss_after(Online(plain, by=SGD(lr=beta))) < 0.5 * loss_after(plain)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Online(0.1, by=SGD(lr=0.1)), "optimizer is float, expected an Optimizer"),
        (lambda: Online(SGD(lr=0.1), by=SGD(lr=0.1), learn="lr"), "learn is 'lr', expected names"),
        (lambda: Online(SGD(lr=0.1), by=SGD(lr=0.1), learn=("rate",)), "learn names 'rate', but SGD has 'lr', "),
    ],
)
def test_errors(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()


@pytest.mark.parametrize(
    "inner", [SGD(lr=0.05), SGD(lr=0.05, momentum=0.9), Adam(lr=0.05)], ids=["sgd", "momentum", "adam"]
)
def test_a_parameter_without_gradient_stays_and_teaches_nothing(inner):
    optimizer = Online(inner, by=SGD(lr=0.01))
    alone, both = {"w": ho.tensor(START)}, {"still": ho.tensor(7.0), "w": ho.tensor(START)}
    state, states = optimizer.init(alone), optimizer.init(both)
    for _ in range(5):
        g = ho.tensor(gradient(alone["w"].numpy()))
        alone, state = optimizer.step(alone, {"w": g}, state)
        both, states = optimizer.step(both, {"w": g, "still": None}, states)
    assert float(both["still"]) == 7.0
    np.testing.assert_array_equal(both["w"].numpy(), alone["w"].numpy())
    assert float(states["learned"]["lr"]) == float(state["learned"]["lr"]) != 0.05
