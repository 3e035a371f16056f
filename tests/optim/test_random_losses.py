"""Losses that draw random numbers: one evaluation sees one draw, in whatever way it is differentiated."""

import dataclasses
import warnings
from functools import partial

import numpy as np
import pytest

import hograd as ho
from hograd.errors import LevelError
from optim import LBFGS, SGD, NonlinearCG
from optim.hyper import (
    CG,
    DARTS,
    GMRES,
    MINRES,
    PES,
    Bilevel,
    Dense,
    FixedPoint,
    Forward,
    Implicit,
    Reverse,
    Reversible,
    Truncated,
    ZeroOrder,
    hypergradient,
)
from optim.hyper.stochastic import SOBA, SUSTAIN

RANDOM = np.random.default_rng(11)
X, Y = ho.tensor(RANDOM.normal(size=(40, 5))), ho.tensor(RANDOM.normal(size=40))
STEPS = 6
START = 0.5 * ho.ones(5)
OUTER = {"l2": ho.tensor(0.1), "lr": ho.tensor(0.1)}


def inner(w, outer):
    return ((ho.dropout(X, 0.3) @ w.tanh() - Y) ** 2).mean() + outer["l2"] * (w**2).sum() + (ho.randn(5) * w).mean()


def judge(w, outer):
    return ((ho.dropout(X, 0.2) @ w - 1) ** 2).mean() + 0.1 * outer["l2"]


def problem(init=START):
    return Bilevel(inner, judge, init=init, optimizer=lambda outer: SGD(lr=outer["lr"], momentum=0.5))


def found(method, mode=lambda f: f, calls=2, of=None):
    """Values and hypergradients of some calls from one seed, and the draw behind them."""
    of = of or problem()

    def run(outer):
        value, hypergrad, _ = hypergradient(of, outer, method)
        return ho.stack([value, hypergrad["l2"], hypergrad["lr"]])

    run = mode(run)
    ho.manual_seed(3)
    with warnings.catch_warnings():
        # Random training does not come to a solution.
        warnings.simplefilter("ignore")
        return [run(OUTER).numpy() for _ in range(calls)], ho.rand().item()


def expect_equal(some, others, rtol=1e-10):
    np.testing.assert_allclose(some[0], others[0], rtol=rtol, atol=1e-12)
    assert some[1] == others[1]


EXACT = {
    "in segments": Reverse(STEPS, checkpoint="sqrt"),
    "in nested segments": Reverse(STEPS, checkpoint="binomial"),
    "forward": Forward(STEPS),
    "truncated": Truncated(STEPS, last=STEPS),
    "reversible": Reversible(STEPS),
}
NOISY = {
    "smoothed": ZeroOrder(STEPS, sigma=1e-3, samples=3),
    "persistent": PES(STEPS, window=2, sigma=1e-3, samples=3),
    "one step": DARTS(lr=0.1, steps=STEPS),
    "implicit": Implicit(Dense(), steps=STEPS),
    "implicit, by steps": Implicit(FixedPoint(5), steps=STEPS),
}


@pytest.mark.parametrize("method", EXACT.values(), ids=list(EXACT))
def test_exact_methods_see_the_same_draws(method):
    expect_equal(found(method), found(Reverse(STEPS)))


def test_first_parameters_may_be_drawn():
    drawn = problem(init=lambda outer: ho.randn(5) * (1 + outer["l2"]))
    for method in EXACT.values():
        expect_equal(found(method, of=drawn), found(Reverse(STEPS), of=drawn))


@pytest.mark.parametrize("method", [EXACT["forward"], *NOISY.values()], ids=["forward", *NOISY])
def test_programs_draw_as_plain_code_from_the_first_call_on(method):
    expect_equal(found(method, ho.compile), found(method), rtol=1e-8)


@pytest.mark.parametrize("method", [ZeroOrder(STEPS, 1e-3, 3000), PES(STEPS, STEPS, 1e-3, 3000)], ids=str)
def test_perturbed_trainings_share_the_draws_of_the_plain_one(method):
    (estimate,), after = found(method, calls=1)
    (exact,), behind = found(Reverse(STEPS), calls=1)
    # Draws of their own would add noise of 1 / sigma.
    np.testing.assert_allclose(estimate, exact, rtol=0.05, atol=0.02)
    assert after == behind


def masked(w, l2):
    return ((ho.dropout(X, 0.3) @ w - Y) ** 2).mean() + l2 * (w**2).sum()


def closed_form(kept):
    """Solution and its derivative by l2 = 0.1 for the data that dropout left."""
    hessian = 2 * kept.T @ kept / 40 + 0.2 * np.eye(5)
    w = np.linalg.solve(hessian, 2 * kept.T @ Y.numpy() / 40)
    return w, -np.linalg.solve(hessian, 2 * w)


@pytest.mark.parametrize("solver", [LBFGS(), NonlinearCG()], ids=["LBFGS", "NonlinearCG"])
def test_a_minimizer_means_one_function(solver):
    ho.manual_seed(5)
    w, slope = closed_form(ho.dropout(X, 0.3).numpy())
    after = ho.rand().item()
    for mode in (lambda f: f, ho.compile):
        for _ in range(2):
            ho.manual_seed(5)
            result = solver.minimize(masked, ho.zeros(5), ho.tensor(0.1))
            assert result.converged
            np.testing.assert_allclose(result.params.numpy(), w, rtol=1e-7)
            assert ho.rand().item() == after
            for derivative in (ho.func.jacrev, partial(ho.func.jacfwd, randomness="same")):
                ho.manual_seed(5)
                f = mode(derivative(lambda l2: solver.minimize(masked, ho.zeros(5), l2).params))
                np.testing.assert_allclose(f(ho.tensor(0.1)).numpy(), slope, rtol=1e-6)


def test_a_minimizer_in_vmap_draws_as_vmap_is_told():
    def slope(l2):
        return ho.func.grad(lambda l2: LBFGS().minimize(masked, ho.zeros(5), l2).params.sum())(l2)

    for randomness, shape in (("same", (40, 5)), ("different", (2, 40, 5))):
        ho.manual_seed(5)
        kept = X.numpy() * np.broadcast_to((ho.rand(shape) >= 0.3).numpy() / 0.7, (2, 40, 5))
        ho.manual_seed(5)
        answers = ho.vmap(slope, randomness=randomness)(ho.tensor([0.1, 0.1])).numpy()
        np.testing.assert_allclose(answers, [closed_form(k)[1].sum() for k in kept], rtol=1e-6)
    with pytest.raises(LevelError, match="randomness"):
        ho.vmap(slope)(ho.tensor([0.1, 0.1]))


@pytest.mark.parametrize("solver", [Dense(), CG(), MINRES(), GMRES()], ids=lambda s: type(s).__name__)
def test_the_equation_of_an_implicit_hypergradient_is_of_one_draw(solver):
    ho.manual_seed(5)
    w, slope = closed_form(ho.dropout(X, 0.3).numpy())
    drawing = Bilevel(masked, lambda w, l2: (w**2).sum(), init=ho.zeros(5), optimizer=SGD(lr=0.1))
    for mode in (lambda f: f, ho.compile):
        run = mode(lambda l2: hypergradient(drawing, l2, Implicit(solver, solve=LBFGS())).hypergrad)
        for _ in range(2):
            ho.manual_seed(5)
            assert run(ho.tensor(0.1)).item() == pytest.approx(2 * w @ slope, rel=1e-6)


def test_a_fixed_point_is_of_one_draw_at_every_order():
    def point(a):
        return ho.fixed_point(lambda x, a: ho.cos(a * x) * ho.rand(2), ho.ones(2), a)

    def plain(a):
        return ho.fixed_point(lambda x, a, drawn: ho.cos(a * x) * drawn, ho.ones(2), a, drawn)

    ho.manual_seed(2)
    drawn = ho.rand(2)
    for derivative in (lambda f: f, ho.func.jacrev, lambda f: ho.func.jacrev(ho.func.jacrev(f))):
        expected = derivative(plain)(ho.tensor(0.7)).numpy()
        for f in (derivative(point), ho.compile(derivative(point)), derivative(ho.func.checkpoint(point))):
            ho.manual_seed(2)
            np.testing.assert_allclose(f(ho.tensor(0.7)).numpy(), expected, rtol=1e-8)


@pytest.mark.parametrize("algorithm", [SOBA, SUSTAIN])
def test_a_sample_of_a_stochastic_algorithm_is_a_batch_and_its_draws(algorithm):
    """As with the numbers as a batch."""
    ho.manual_seed(5)
    drawn = [(ho.rand(X.shape) >= 0.3) / 0.7 for _ in range(60)]
    asked = []

    def batches(number):
        asked.append(number)
        return drawn[number]

    def given(w, l2, kept):
        return (((X * kept) @ w - Y) ** 2).mean() + l2 * (w**2).sum()

    answers = []
    algorithm = algorithm(inner_lr=0.1, outer_lr=0.1)
    for loss, of in ((masked, None), (given, batches)):
        ho.manual_seed(5)
        one = Bilevel(loss, lambda w, l2: (w**2).sum(), init=ho.ones(5), batches=of)
        answers.append(algorithm.run(one, ho.tensor(0.1), steps=3).outer.item())
    assert asked
    assert answers[0] == pytest.approx(answers[1], rel=1e-10)


def on_a_batch(w, outer, rows):
    return ((ho.dropout(X[rows], 0.3) @ w - Y[rows]) ** 2).mean() + outer["l2"] * (w**2).sum()


@pytest.mark.parametrize("method", EXACT.values(), ids=list(EXACT))
def test_batches_may_be_drawn_in_turn_with_the_losses(method):
    drawn = dataclasses.replace(problem(), inner_loss=on_a_batch, batches=lambda number: ho.randint(0, 40, (8,)))
    expected = found(Reverse(STEPS), of=drawn)
    expect_equal(found(method, of=drawn), expected)
    if not isinstance(method, Reversible):
        expect_equal(found(method, ho.compile, of=drawn), expected)


def test_drawn_batches_that_need_the_number_of_the_step():
    rows = [list(range(8)), list(range(8, 16))]
    drawn = dataclasses.replace(
        problem(), inner_loss=on_a_batch, batches=lambda number: ho.tensor(rows[number % 2]) + ho.randint(0, 20)
    )
    expect_equal(found(Reverse(STEPS), ho.compile, of=drawn), found(Reverse(STEPS), of=drawn))


def test_the_samples_of_a_step_are_those_of_the_step_before_again():
    """Recursive momentum takes the difference of two gradients on one sample."""
    ho.manual_seed(5)
    rows = [ho.randint(0, 40, (8,)) for _ in range(60)]
    plain = Bilevel(
        lambda w, l2, rows: ((X[rows] @ w - Y[rows]) ** 2).mean() + l2 * (w**2).sum(),
        lambda w, l2: (w**2).sum(),
        init=ho.ones(5),
        batches=lambda number: rows[number],
    )
    drawn = dataclasses.replace(plain, batches=lambda number: ho.randint(0, 40, (8,)))
    answers = []
    for one in (plain, drawn):
        ho.manual_seed(5)
        answers.append(SUSTAIN(inner_lr=0.1, outer_lr=0.1).run(one, ho.tensor(0.1), steps=3).outer.item())
    assert answers[0] == pytest.approx(answers[1], rel=1e-12)


class Noisy(SGD):
    """Steps with noise."""

    def update(self, p, g, state, hyper, step):
        p, state = super().update(p, g, state, hyper, step)
        return p + 0.1 * ho.randn(p.shape), state


def test_an_optimizer_may_draw():
    noisy = dataclasses.replace(problem(), optimizer=lambda outer: Noisy(lr=outer["lr"]))
    expected = found(Reverse(STEPS), of=noisy)
    for method in (EXACT["in segments"], EXACT["forward"]):
        expect_equal(found(method, of=noisy), expected)
        expect_equal(found(method, ho.compile, of=noisy), expected)


def test_an_equation_may_draw():
    ho.manual_seed(5)
    w, slope = closed_form(ho.dropout(X, 0.3).numpy())
    drawing = Bilevel(masked, lambda w, l2: (w**2).sum(), init=ho.zeros(5), optimizer=SGD(lr=0.1))
    method = Implicit(Dense(), solve=lambda init, l2: ho.tensor(w), equation=lambda w, l2: ho.func.grad(masked)(w, l2))
    for mode in (lambda f: f, ho.compile):
        run = mode(lambda l2: hypergradient(drawing, l2, method).hypergrad)
        for _ in range(2):
            ho.manual_seed(5)
            assert run(ho.tensor(0.1)).item() == pytest.approx(2 * w @ slope, rel=1e-6)
