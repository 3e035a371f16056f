"""Optimizers that are networks: their steps by hand, their hypergradients, and what learning them gains."""

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from optim import Adam
from optim.hyper import PES, Bilevel, Reverse, Truncated, hypergradient
from optim.meta import LearnedLSTM, LearnedMLP, LearnToOptimize, evaluate, train
from optim.meta.tasks import Quadratics

W = {"a": ho.tensor([1.0, -2.0]), "b": ho.tensor([[0.5], [3.0]])}


def loss(w):
    return ((w["a"] - 0.3) ** 4).sum() + (w["b"] ** 2).sum() * 5


def trained(opt, steps=4):
    w, state = W, opt.init(W)
    for _ in range(steps):
        w, state = opt.step(w, ho.func.grad(loss)(w), state)
    return w


def test_a_learned_mlp_begins_as_adam():
    ours, theirs = trained(LearnedMLP(lr=0.05)), trained(Adam(lr=0.05, eps=1e-12))
    for name in W:
        np.testing.assert_allclose(ours[name].numpy(), theirs[name].numpy(), rtol=1e-9)


def test_a_learned_mlp_does_not_see_the_scale_of_a_loss():
    random = np.random.default_rng(0)
    opt = LearnedMLP(hidden=4)
    opt = ho.tree.map(lambda leaf: leaf + ho.tensor(0.3 * random.standard_normal(leaf.shape)), opt)
    ends = []
    for scale in (1e-4, 1.0, 1e4):
        w, state = W, opt.init(W)
        for _ in range(3):
            w, state = opt.step(w, ho.func.grad(lambda w, s=scale: s * loss(w))(w), state)
        ends.append(w["a"].numpy())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)
    np.testing.assert_allclose(ends[2], ends[1], rtol=1e-6)


def test_a_step_of_the_lstm_by_hand():
    opt = LearnedLSTM(hidden=3)
    g = np.array([2.0, -1e-3, 1e-6, 0.0])
    w, state = opt.step(ho.zeros(4), ho.tensor(g), opt.init(ho.zeros(4)))
    large = np.abs(g) >= 4.5e-5
    seen = np.stack(
        [np.where(large, np.log(np.where(large, abs(g), 1)) / 10, -1), np.where(large, np.sign(g), 22026 * g)]
    )
    cell = {name: value.numpy() for name, value in opt.weights["cell"].items()}
    gates = seen.T @ cell["weight_ih"].T + cell["bias_ih"] + cell["bias_hh"]
    i, _, c, o = np.split(gates, 4, axis=1)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    h = sigmoid(o) * np.tanh(sigmoid(i) * np.tanh(c))
    np.testing.assert_allclose(state["h"].numpy(), h, rtol=1e-12)
    out = {name: value.numpy() for name, value in opt.weights["out"].items()}
    np.testing.assert_allclose(w.numpy(), -0.1 * (h @ out["weight"].T + out["bias"])[:, 0], rtol=1e-12)


@pytest.mark.parametrize("opt", [LearnedMLP(hidden=3, lr=0.05), LearnedLSTM(hidden=3)], ids=["MLP", "LSTM"])
def test_estimators_of_hypergradients_take_it_as_the_outer_variable(opt):
    problem = Bilevel(lambda w, opt: loss(w), lambda w, opt: loss(w), init=W)
    random = np.random.default_rng(1)
    direction = ho.tree.map(lambda leaf: ho.tensor(random.standard_normal(leaf.shape)), opt)

    def value(step):
        moved = ho.tree.map(lambda x, d: x + step * d, opt, direction)
        return loss(trained(moved)).item()

    expected = (8 * (value(1e-4) - value(-1e-4)) - (value(2e-4) - value(-2e-4))) / 12e-4
    found = hypergradient(problem, opt, Reverse(steps=4)).hypergrad
    leaves = zip(ho.tree.leaves(found), ho.tree.leaves(direction), strict=True)
    assert sum((g * d).sum().item() for g, d in leaves) == pytest.approx(expected, rel=1e-6)
    for method in (Truncated(steps=4, last=2), PES(steps=4, window=2)):
        found = hypergradient(problem, opt, method).hypergrad
        assert all(bool(leaf.isfinite().all()) for leaf in ho.tree.leaves(found))


def test_a_learned_optimizer_beats_adam_with_a_learned_rate_on_new_tasks():
    tasks, new = Quadratics(features=4, rows=4, condition=10, same=True).split()
    net, found = nn.linear(4, 1, bias=False), {}
    for name, inner, learn in (
        ("network", LearnedMLP(hidden=8, lr=0.1), ("weights",)),
        ("Adam", Adam(lr=0.1), ("lr",)),
    ):
        algorithm = LearnToOptimize(net, ho.mse, inner, steps=8, learn=learn)
        learned, _ = train(algorithm, tasks, Adam(lr=0.01), 120, 8, compile="numpy")
        found[name] = evaluate(algorithm, learned, new, 200, [8]).loss[8]
    assert found["network"].mean + found["network"].half_width < found["Adam"].mean - found["Adam"].half_width
