"""Momentum SGD in reverse: bit for bit, and the hypergradient of reverse mode."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, ConvergenceError, DtypeError, GradientError
from optim import SGD, Adam
from optim.hyper import Bilevel, Reverse, Reversible, hypergradient
from optim.schedules import PerStep

RNG = np.random.default_rng(4)
DATA, TARGET = RNG.normal(size=(12, 4)), RNG.normal(size=12)


def inner(params, outer):
    y = ho.tanh(ho.tensor(DATA) @ params["w"]) + params["b"]
    return ((y - ho.tensor(TARGET)) ** 2).mean()


def judged(params, outer):
    return (params["w"] ** 2).sum() + params["b"] ** 3


START = {"w": ho.tensor(RNG.normal(size=4)), "b": ho.tensor(0.3)}
PROBLEM = Bilevel(inner, judged, START)

OPTIMIZERS = {
    "plain": SGD(lr=0.1, momentum=0.9),
    "damped": SGD(lr=0.1, momentum=0.7, dampening=0.3, weight_decay=0.05),
    "climbing": SGD(lr=0.001, momentum=0.5, weight_decay=0.1, maximize=True),
    "arbitrary": SGD(lr=0.1, momentum=0.8734512345),
    "per step": SGD(lr=PerStep(RNG.uniform(0.05, 0.1, 60)), momentum=PerStep(RNG.uniform(0.3, 0.9, 60))),
    "per parameter": SGD(lr={"w": 0.1, "b": 0.05}, momentum={"w": ho.tensor([0.9, 0.5, 0.99, 0.8]), "b": 0.6}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equal_to_reverse_mode(name):
    expected = hypergradient(PROBLEM, OPTIMIZERS[name], Reverse(60))
    found = hypergradient(PROBLEM, OPTIMIZERS[name], Reversible(60))
    tolerance = 1e-6 if name in ("arbitrary", "per step") else 1e-9
    assert float(found.value) == pytest.approx(float(expected.value), rel=tolerance)
    assert ho.tree.structure(found.hypergrad) == ho.tree.structure(expected.hypergrad)
    for ours, theirs in zip(ho.tree.leaves(found.hypergrad), ho.tree.leaves(expected.hypergrad), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=tolerance, atol=tolerance)


def test_buffers_of_several_parameters_that_fill_in_the_same_step():
    # A momentum of 0.3 pushes out 1.7 bits a step, so all buffers are full every 26 steps, these three at once.
    start = {name: ho.tensor([0.3, -0.7]) for name in "abc"}
    problem = Bilevel(
        lambda p, opt: sum(((x - 1) ** 4).sum() for x in p.values()),
        lambda p, opt: sum((x**3).sum() for x in p.values()),
        start,
    )
    opt = SGD(lr=0.02, momentum=0.3)
    found, exact = (hypergradient(problem, opt, method(100)).hypergrad for method in (Reversible, Reverse))
    assert float(found.lr) == pytest.approx(float(exact.lr), rel=1e-9)
    assert float(found.momentum) == pytest.approx(float(exact.momentum), rel=1e-9)


def test_a_thousand_steps_come_back_bit_for_bit():
    seen = []

    def watched(params, outer, number):
        # Its own value, not a tensor under differentiation: the bits of the parameters in every step, both ways.
        seen.append((number, ho.tree.map(lambda x: x.detach().numpy().tobytes(), params)))
        return inner(params, outer)

    problem = Bilevel(watched, judged, START, batches=lambda number: number)
    info = hypergradient(problem, SGD(lr=0.1, momentum=0.9), Reversible(1000)).info
    forth = dict(seen[:1000])
    assert len(forth) == 1000
    assert {number for number, _ in seen[1000:]} == set(forth)
    assert all(forth[number] == bits for number, bits in seen[1000:])
    assert len({bits["b"] for bits in forth.values()}) > 100
    # The parameters and momenta of all steps would take 16 bytes a step and number.
    assert info.memory < 1000 * 5 * 16 / 50


def test_the_start_may_depend_on_the_outer_variables():
    problem = Bilevel(
        lambda w, o: ((w - 1) ** 2).sum() * o["scale"],
        lambda w, o: (w**2).sum() + o["scale"] ** 2,
        init=lambda o: o["start"] * 2,
        optimizer=SGD(lr=0.05, momentum=0.5),
    )
    outer = {"scale": ho.tensor(0.7), "start": ho.tensor([0.5, -1.0])}
    found, expected = (hypergradient(problem, outer, method).hypergrad for method in (Reversible(9), Reverse(9)))
    for name in outer:
        np.testing.assert_allclose(found[name].numpy(), expected[name].numpy(), rtol=1e-10)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_few_steps(steps):
    found, expected = (hypergradient(PROBLEM, OPTIMIZERS["damped"], m(steps)).hypergrad for m in (Reversible, Reverse))
    for ours, theirs in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9, atol=1e-12)


def test_what_cannot_be_reversed_is_refused():
    for optimizer, error, text in (
        (Adam(lr=0.1), DtypeError, "the inner optimizer is Adam, but only SGD"),
        (SGD(lr=0.1, momentum=0.9, nesterov=True), ArgumentError, "Nesterov's momentum cannot be reversed"),
        (SGD(lr=0.1), ArgumentError, "the momentum is 0, expected numbers above"),
    ):
        with pytest.raises(error, match=text):
            hypergradient(PROBLEM, optimizer, Reversible(3))
    with pytest.raises(ArgumentError, match="use Reverse"):
        ho.func.grad(lambda lr: hypergradient(PROBLEM, SGD(lr=lr, momentum=0.9), Reversible(3)).value)(ho.tensor(0.1))
    with pytest.raises(ArgumentError, match="bits is 60, expected at most 56"):
        Reversible(3, bits=60)
    with pytest.raises(ConvergenceError, match="the inner training diverges"):
        hypergradient(PROBLEM, SGD(lr=1e9, momentum=0.9), Reversible(30))
    noise = np.random.default_rng(0)
    random = Bilevel(lambda p, o: inner(p, o) + noise.normal() * p["b"], judged, START)
    with pytest.raises(GradientError, match="another gradient when it is evaluated again"):
        hypergradient(random, SGD(lr=0.1, momentum=0.9), Reversible(5))
