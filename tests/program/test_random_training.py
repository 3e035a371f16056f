"""Randomly composed training, whose passes meet small arrays as if they were large: compiled agrees with eager."""

import itertools
import random

import numpy as np
import pytest

import hograd as ho
from hograd.program import linear, memory, recompute
from optim import SGD, Adam


@pytest.fixture
def eager_passes(monkeypatch):
    """Passes that change what is worth changing in large programs only."""
    monkeypatch.setattr(linear, "_LARGE", 2)
    monkeypatch.setattr(linear, "_OFTEN", 2)
    monkeypatch.setattr(linear, "FAR", 12)
    monkeypatch.setattr(recompute, "_LARGE", 16)
    monkeypatch.setattr(recompute, "FAR", 12)
    monkeypatch.setattr(memory, "_ROWS", 3)
    monkeypatch.setattr(memory, "_TIMES", 1)


def problem(source, rng):
    """A function of hyperparameters and parameters: the loss after some steps of training."""
    widths = [source.randint(2, 5) for _ in range(source.randint(2, 4))]
    count = source.choice([4, 7])
    biases = [source.random() < 0.7 for _ in widths[1:]]
    activation = source.choice([ho.tanh, ho.relu, ho.sigmoid, ho.sin])
    x = ho.tensor(rng.normal(size=(count, widths[0])))
    labels = ho.tensor(rng.integers(0, widths[-1], count))
    weights = ho.tensor(rng.uniform(0.5, 1.0, count))
    kind = source.choice(["mean", "weighted", "squares"])
    steps = source.randint(1, 4)
    momentum = source.random() < 0.5

    def network(params, x):
        values = list(params)
        for number, bias in enumerate(biases):
            x = x @ values.pop(0)
            if bias:
                x = x + values.pop(0)
            if number < len(biases) - 1:
                x = activation(x)
        return x

    def loss(params, hyper):
        scores = network(params, x)
        if kind == "squares":
            return (scores**2).mean() + hyper["decay"] * sum((p * p).sum() for p in params)
        if kind == "mean":
            return ho.cross_entropy(scores, labels)
        losses = ho.cross_entropy(scores, labels, reduction="none")
        return (weights * hyper["decay"] * 10 * losses).mean() + 0.01 * sum((p * p).sum() for p in params)

    def trained(hyper, params):
        if momentum:
            optimizer = SGD(lr=hyper["rate"], momentum=hyper["beta"])
        else:
            optimizer = Adam(lr=hyper["rate"], betas=(hyper["beta"], 0.9), weight_decay=hyper["decay"])
        state = optimizer.init(params)
        for _ in range(steps):
            params, state = optimizer.step(params, ho.func.grad(loss)(params, hyper), state)
        return loss(params, hyper)

    shapes = []
    for (rows, columns), bias in zip(itertools.pairwise(widths), biases, strict=True):
        shapes += [(rows, columns), (columns,)] if bias else [(rows, columns)]
    hyper = {name: ho.tensor(rng.uniform(0.1, 0.3)) for name in ("rate", "beta", "decay")}
    return trained, hyper, [ho.tensor(rng.normal(size=shape)) for shape in shapes]


def agree(found, expected):
    for y, e in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
        e = e.detach().numpy()
        np.testing.assert_allclose(y.detach().numpy(), e, rtol=1e-9, atol=1e-10 * max(1, np.abs(e).max()))


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.usefixtures("eager_passes")
def test_hypergradients(seed):
    trained, hyper, params = problem(random.Random(f"{seed} training"), np.random.default_rng(seed))
    slopes = ho.func.grad(trained, argnums=(0, 1))
    expected = slopes(hyper, params)
    compiled = ho.compile(slopes)
    for _ in range(2):
        agree(compiled(hyper, params), expected)
    # Through the cut of a compiled part.
    agree(ho.func.grad(ho.compile(trained), argnums=(0, 1))(hyper, params), expected)
    leaves = ho.tree.map(lambda x: x.clone().requires_grad_(), params)
    ho.compile(trained)(hyper, leaves).backward()
    agree([x.grad for x in leaves], expected[1])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.usefixtures("eager_passes")
def test_second_derivatives(seed):
    trained, hyper, params = problem(random.Random(f"{seed} second"), np.random.default_rng(seed))

    def product(hyper, params):
        return ho.func.hvp(lambda hyper: trained(hyper, params), hyper, hyper)

    agree(ho.compile(product)(hyper, params), product(hyper, params))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("eager_passes")
def test_loops(seed):
    rng = np.random.default_rng(seed)
    shapes = [(7, 3), (3, 2), (2,)]
    x, w, b = (ho.tensor(rng.normal(size=shape)) for shape in shapes)
    tall, order = seed % 2 == 0, seed % 3

    def final(rate, w, b):
        def step(carry, k):
            w, b = carry
            scores = x @ w + b
            gw, gb = ho.func.grad(lambda w, b: (ho.softmax(x @ w + b, 1) ** 2).sum() * k, argnums=(0, 1))(w, b)
            return (w - rate * gw, b - rate * gb), (scores * 2 if tall else x @ w, scores.sum(0), x.T @ scores)

        carry, stacked = ho.scan(step, (w, b), ho.tensor([1.0, 0.5, 2.0, 0.3]))
        return sum((leaf**2).sum() for leaf in ho.tree.leaves((carry, stacked)))

    def slope(rate, w, b):
        if order == 2:
            return ho.func.hvp(lambda rate: final(rate, w, b), rate, rate)
        return ho.func.grad(final, argnums=(0, 1, 2)[: order + 1])(rate, w, b)

    rate = ho.tensor(0.1)
    agree(ho.compile(slope)(rate, w, b), slope(rate, w, b))
    agree(ho.compile(final)(rate, w, b), final(rate, w, b))
