"""Hypergradients are exact: against central differences for every hyperparameter, and against closed forms."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, DtypeError
from optim import SGD, Adam, PolyakSGD, constraints
from optim.hyper import Bilevel, Reverse, hypergradient, train
from optim.meta import adapt
from optim.schedules import PerStep

RNG = np.random.default_rng(7)
DATA = RNG.normal(size=(8, 3))
TARGET = RNG.normal(size=8)
START = {"w": RNG.normal(size=3), "b": np.array(0.3), "idle": np.array([0.7, -0.4])}
STEPS = 4


def inner_loss(params, outer):
    """A small network; the parameter `idle` has a gradient of exactly zero, as a dead unit has."""
    prediction = ho.tanh(ho.tensor(DATA) @ params["w"]) + params["b"]
    return ((prediction - ho.tensor(TARGET)) ** 2).mean() + 0.0 * params["idle"].sum()


def outer_loss(params, outer):
    prediction = ho.tanh(ho.tensor(DATA[::-1].copy()) @ params["w"]) * 1.5 + params["b"]
    return ((prediction - ho.tensor(TARGET)) ** 2).mean() + (params["idle"] ** 2).sum()


def start():
    return {key: ho.tensor(value) for key, value in START.items()}


PROBLEM = Bilevel(inner_loss, outer_loss, init=start())

SINGLE = {"w": 0.1, "b": 0.2, "idle": 0.05}
OPTIMIZERS = {
    "sgd": SGD(lr=0.2),
    "sgd momentum": SGD(lr=0.1, momentum=0.8, dampening=0.25, weight_decay=0.1),
    "sgd nesterov": SGD(lr=0.1, momentum=0.8, weight_decay=0.05, nesterov=True),
    "sgd per step": SGD(lr=PerStep(np.array([0.3, 0.1, 0.2, 0.15])), momentum=PerStep(np.array([0.9, 0.5, 0.7, 0.6]))),
    "sgd per parameter": SGD(lr=SINGLE, momentum=0.5),
    "sgd elementwise": SGD(lr={"w": ho.tensor([0.1, 0.2, 0.3]), "b": 0.1, "idle": 0.1}),
    "sgd per parameter and step": SGD(lr={"w": PerStep(np.array([0.3, 0.1, 0.2, 0.1])), "b": 0.1, "idle": 0.2}),
    "adam": Adam(lr=0.1, betas=(0.8, 0.95), eps=0.01, weight_decay=0.1),
    "adam without decay": Adam(lr=0.1, betas=(0.8, 0.95), eps=1e-2),
    "adam per step": Adam(
        lr=PerStep(np.array([0.3, 0.1, 0.2, 0.15])), betas=(0.9, PerStep(np.full(4, 0.9))), eps=0.1, weight_decay=0.1
    ),
    "adam per parameter": Adam(lr=SINGLE, betas=(0.9, {"w": 0.9, "b": 0.99, "idle": 0.95}), eps=0.1, weight_decay=0.1),
}


def final_loss(outer):
    params, _ = train(PROBLEM, outer, STEPS)
    return outer_loss(params, outer)


def shifted(tree, i, position, by):
    """The tree with one element of leaf i moved."""
    leaves, structure = ho.tree.flatten(tree)
    array = np.array(np.asarray(leaves[i], dtype=float))
    array[position] += by
    return ho.tree.unflatten(structure, [*leaves[:i], ho.tensor(array), *leaves[i + 1 :]])


def central_differences(f, tree):
    """Derivatives of f by all elements of all leaves, with an error of order h**4.

    None for a leaf where no difference converges: without weight decay the dead coordinate's second moment is exactly
    0, so Adam's step as a function of the decay has a kink there.
    """
    out = []
    for i, leaf in enumerate(ho.tree.leaves(tree)):
        if isinstance(tree, Adam) and "weight_decay" in ho.tree.paths(tree)[i] and not leaf:
            out.append(None)
            continue
        array = np.asarray(leaf, dtype=float)
        slopes = np.zeros(array.shape)
        for position in np.ndindex(array.shape):
            h = 1e-3 * max(abs(array[position]), 0.1)
            values = [float(f(shifted(tree, i, position, k * h))) for k in (-2, -1, 1, 2)]
            slopes[position] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
        out.append(slopes)
    return out


@pytest.mark.parametrize("opt", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_hyperparameter_matches_central_differences(opt):
    value, hypergrad, info = hypergradient(PROBLEM, opt, method=Reverse(steps=STEPS))
    assert type(hypergrad) is type(opt)
    assert float(value) == pytest.approx(float(final_loss(opt)), rel=1e-14)
    expected = central_differences(final_loss, opt)
    for path, ours, numerical in zip(ho.tree.paths(opt), ho.tree.leaves(hypergrad), expected, strict=True):
        assert np.isfinite(ours.numpy()).all(), path
        if numerical is None:
            continue
        np.testing.assert_allclose(ours.numpy(), numerical, rtol=1e-7, atol=1e-9, err_msg=path)
    assert info.inner_steps == info.inner_gradients == STEPS
    assert not any(leaf.requires_grad for leaf in ho.tree.leaves(info.params))


@pytest.mark.parametrize("opt", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_hypergradient_is_differentiable_again(opt):
    weights = [RNG.normal(size=np.shape(leaf)) for leaf in ho.tree.leaves(opt)]

    def weighted(outer):
        hypergrad = hypergradient(PROBLEM, outer, method=Reverse(steps=STEPS)).hypergrad
        return sum((g * ho.tensor(c)).sum() for g, c in zip(ho.tree.leaves(hypergrad), weights, strict=True))

    second = ho.func.grad(weighted)(opt)
    expected = central_differences(weighted, opt)
    for path, ours, numerical in zip(ho.tree.paths(opt), ho.tree.leaves(second), expected, strict=True):
        assert np.isfinite(ours.numpy()).all(), path
        if numerical is None:
            continue
        np.testing.assert_allclose(ours.numpy(), numerical, rtol=1e-6, atol=1e-7, err_msg=path)


def test_zero_gradient_from_the_start_of_adam_is_finite_with_the_default_eps():
    hypergrad = hypergradient(PROBLEM, Adam(lr=0.01), method=Reverse(steps=STEPS)).hypergrad
    assert all(np.isfinite(g.numpy()).all() for g in ho.tree.leaves(hypergrad))
    b1, b2 = hypergrad.betas
    for ours, at in [
        (hypergrad.lr, lambda h: Adam(lr=0.01 + h)),
        (b1, lambda h: Adam(lr=0.01, betas=(0.9 + h, 0.999))),
        (b2, lambda h: Adam(lr=0.01, betas=(0.9, 0.999 + h))),
    ]:
        values = [float(final_loss(at(k * 1e-5))) for k in (-2, -1, 1, 2)]
        numerical = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * 1e-5)
        assert float(ours) == pytest.approx(numerical, rel=1e-6)


def test_gradient_descent_on_a_quadratic_has_the_closed_form():
    curvature, w0, steps, lr = 3.0, 2.0, 7, 0.1
    problem = Bilevel(
        lambda w, _: 0.5 * curvature * w**2, lambda w, _: w, init=ho.tensor(w0), optimizer=lambda o: SGD(lr=o)
    )
    value, hypergrad, _ = hypergradient(problem, ho.tensor(lr), method=Reverse(steps))
    shrink = 1 - lr * curvature
    assert float(value) == pytest.approx(w0 * shrink**steps, rel=1e-14)
    assert float(hypergrad) == pytest.approx(-w0 * steps * curvature * shrink ** (steps - 1), rel=1e-13)

    def hyper(rate):
        return hypergradient(problem, rate, method=Reverse(steps)).hypergrad

    second = w0 * steps * (steps - 1) * curvature**2 * shrink ** (steps - 2)
    third = -w0 * steps * (steps - 1) * (steps - 2) * curvature**3 * shrink ** (steps - 3)
    assert float(ho.func.grad(hyper)(ho.tensor(lr))) == pytest.approx(second, rel=1e-12)
    assert float(ho.func.grad(ho.func.grad(hyper))(ho.tensor(lr))) == pytest.approx(third, rel=1e-11)


def test_forward_mode_gives_the_same_hypergradient():
    opt = OPTIMIZERS["adam"]
    hypergrad = hypergradient(PROBLEM, opt, method=Reverse(steps=STEPS)).hypergrad
    direction = ho.tree.map(lambda leaf: ho.tensor(RNG.normal(size=np.shape(leaf))), opt)
    _, slope = ho.func.jvp(final_loss, (opt,), (direction,))
    expected = sum((g * t).sum() for g, t in zip(ho.tree.leaves(hypergrad), ho.tree.leaves(direction), strict=True))
    assert float(slope) == pytest.approx(float(expected), rel=1e-11)


def test_initial_parameters_and_losses_may_depend_on_the_outer_variables():
    problem = Bilevel(
        inner_loss=lambda w, outer: ((w - 1) ** 2).sum() + outer["l2"] * (w**2).sum(),
        outer_loss=lambda w, outer: ((w - 2) ** 2).sum() + outer["l2"] ** 2,
        init=lambda outer: outer["start"] * 2,
        optimizer=SGD(lr=0.1),
    )
    outer = {"l2": ho.tensor(0.3), "start": ho.tensor([0.5, -1.0])}
    hypergrad = hypergradient(problem, outer, method=Reverse(steps=3)).hypergrad

    def f(o):
        return problem.outer_loss(train(problem, o, 3)[0], o)

    for ours, numerical in zip(ho.tree.leaves(hypergrad), central_differences(f, outer), strict=True):
        np.testing.assert_allclose(ours.numpy(), numerical, rtol=1e-8)


def test_batches_reach_the_inner_loss_in_order():
    seen = []

    def inner(w, outer, batch):
        seen.append(batch)
        return (w * ho.tensor(batch)).sum()

    problem = Bilevel(
        inner, lambda w, _: w, init=ho.tensor(0.0), optimizer=lambda o: SGD(lr=o), batches=lambda t: t + 1.0
    )
    value, hypergrad, _ = hypergradient(problem, ho.tensor(0.5), method=Reverse(3))
    assert seen == [1.0, 2.0, 3.0]
    assert float(value) == -3.0
    assert float(hypergrad) == -6.0


def test_adam_learns_the_fields_of_sgd_inside_their_ranges():
    spec = SGD(
        lr=constraints.Positive(),
        momentum=constraints.UnitInterval(),
        dampening=constraints.Free(),
        weight_decay=constraints.Positive(),
    )
    opt = SGD(lr=0.02, momentum=0.1, weight_decay=0.01)
    free = constraints.unconstrain(spec, opt)
    outer_opt = Adam(lr=0.3)
    state = outer_opt.init(free)

    def loss(free):
        return final_loss(constraints.constrain(spec, free).replace(dampening=0.0))

    before = float(loss(free))
    for _ in range(30):
        free, state = outer_opt.step(free, ho.func.grad(loss)(free), state)
    learned = constraints.constrain(spec, free)
    assert isinstance(learned, SGD)
    assert float(loss(free)) < 0.8 * before
    assert float(learned.lr) > 0
    assert 0 < float(learned.momentum) < 1
    assert float(learned.weight_decay) > 0


def test_no_step_gives_the_outer_loss_of_the_start():
    value, hypergrad, _ = hypergradient(PROBLEM, SGD(lr=0.1), method=Reverse(steps=0))
    assert float(value) == float(outer_loss(start(), None))
    assert all(float(g) == 0 for g in ho.tree.leaves(hypergrad))


def test_a_whole_number_is_no_outer_variable():
    problem = Bilevel(inner_loss, outer_loss, start(), optimizer=lambda outer: SGD(lr=outer["lr"]))
    with pytest.raises(DtypeError, match=r"outer\['lr'\] is int 1, expected a floating"):
        hypergradient(problem, {"lr": 1}, method=Reverse(steps=1))


def test_the_inner_optimizer_must_be_one():
    problem = Bilevel(inner_loss, outer_loss, start())
    with pytest.raises(DtypeError, match="the inner optimizer is dict, expected an Optimizer"):
        hypergradient(problem, {"lr": 0.1}, method=Reverse(steps=1))


@pytest.mark.parametrize("steps", [-1, 2.0, "3"])
def test_steps_must_be_a_whole_number(steps):
    with pytest.raises(ArgumentError, match="Reverse: steps is .*, expected a whole number of at least 0"):
        Reverse(steps=steps)


def test_the_inner_loss_reaches_an_optimizer_that_asks_for_it():
    """On (w - a)**2 Polyak's step halves the distance: after two of them w = (3 a + w_0) / 4 ."""
    problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: w, init=ho.tensor(5.0), optimizer=PolyakSGD())
    value, slope, _ = hypergradient(problem, ho.tensor(1.0), Reverse(steps=2))
    assert float(value) == pytest.approx(2.0, rel=1e-14)
    assert float(slope) == pytest.approx(0.75, rel=1e-14)
    adapted = adapt(lambda w, a: (w - a) ** 2, ho.tensor(5.0), ho.tensor(1.0), inner=PolyakSGD(), steps=2, order=1)
    assert float(adapted) == pytest.approx(2.0, rel=1e-14)
