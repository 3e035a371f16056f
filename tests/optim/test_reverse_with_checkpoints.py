"""`Reverse` with checkpoints: the same hypergradient from less memory, as much as it says."""

import gc
import tracemalloc

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, LevelError
from optim import SGD, Adam
from optim.compose import accumulate, decay
from optim.hyper import Bilevel, Reverse, hypergradient
from optim.schedules import PerStep

CHECKPOINTS = ["sqrt", 1, 3, 50, "binomial", ("binomial", 2)]
STEPS = 8
RNG = np.random.default_rng(1)
X, Y = ho.tensor(RNG.normal(size=(12, 4))), ho.tensor(RNG.normal(size=12))
RATES = np.linspace(0.05, 0.2, STEPS)


def inner_loss(params, outer, batch):
    residual = ho.tanh(X @ params["w"]) + params["b"] - Y * batch
    return (ho.exp(outer["weights"]) * residual**2).mean()


def outer_loss(params, outer):
    return ((ho.tanh(X @ params["w"]) * 1.5 + params["b"] - Y) ** 2).mean() + (outer["weights"] ** 2).mean()


OPTIMIZERS = {
    "sgd": lambda outer: SGD(lr=outer["lr"], momentum=0.9),
    "sgd per step": lambda outer: SGD(lr=PerStep(outer["lr"] * RATES), momentum=PerStep(ho.full((STEPS + 3,), 0.5))),
    "sgd per parameter and step": lambda outer: SGD(lr={"w": PerStep(outer["lr"] * RATES), "b": outer["lr"]}),
    "adam": lambda outer: Adam(lr=outer["lr"], betas=(0.8, PerStep(0.9 + 0.01 * outer["lr"] * RATES)), eps=0.01),
    # Its optimizer counts its own steps.
    "accumulated": lambda outer: accumulate(SGD(lr=PerStep(outer["lr"] * RATES)), every=2),
    "decayed": lambda outer: decay(SGD(lr=PerStep(outer["lr"] * RATES)), PerStep(outer["lr"] * RATES / 10)),
}


def problem_with(name):
    return Bilevel(
        inner_loss,
        outer_loss,
        init=lambda outer: {"w": outer["start"] * 2, "b": ho.tensor(0.1)},
        optimizer=OPTIMIZERS[name],
        batches=lambda number: 1 + 0.1 * number,
    )


OUTER = {"lr": ho.tensor(0.3), "weights": ho.tensor(RNG.normal(size=12) / 3), "start": ho.tensor(RNG.normal(size=4))}


def close(found, expected):
    ho.tree.map(
        lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-10, atol=1e-12), found, expected
    )


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_hypergradient_is_the_same(name, checkpoint):
    problem = problem_with(name)
    expected = hypergradient(problem, OUTER, Reverse(STEPS))
    found = hypergradient(problem, OUTER, Reverse(STEPS, checkpoint))
    close(found[:2], expected[:2])
    close((found.info.params, found.info.state), (expected.info.params, expected.info.state))
    assert found.info.state["step"] == STEPS


@pytest.mark.parametrize("checkpoint", ["sqrt", ("binomial", 2)], ids=str)
@pytest.mark.parametrize("name", ["sgd per step", "adam"])
def test_derivatives_of_hypergradients_and_batches_of_them(name, checkpoint):
    problem = problem_with(name)

    def results(method):
        norm = lambda outer: sum(  # noqa: E731
            (g**2).sum() for g in ho.tree.leaves(hypergradient(problem, outer, method).hypergrad)
        )
        batch = ho.tree.map(lambda x: ho.stack([x, x * 0.5]), OUTER)
        return (
            ho.func.grad(norm)(OUTER),
            ho.func.jvp(norm, (OUTER,), (OUTER,)),
            ho.vmap(lambda outer: hypergradient(problem, outer, method).hypergrad)(batch),
        )

    close(results(Reverse(STEPS, checkpoint)), results(Reverse(STEPS)))


@pytest.mark.parametrize("checkpoint", ["none", *CHECKPOINTS], ids=str)
def test_gradients_are_counted(checkpoint):
    calls = []
    problem = Bilevel(
        lambda w, outer, batch: calls.append(batch) or (w * outer) ** 2, lambda w, outer: w, init=ho.tensor(1.0),
        optimizer=SGD(lr=0.1), batches=lambda number: number,
    )  # fmt: skip
    info = hypergradient(problem, ho.tensor(0.5), Reverse(STEPS, checkpoint)).info
    assert info.inner_steps == STEPS
    assert info.inner_gradients == len(calls)
    assert calls[:STEPS] == list(range(STEPS))


def learning_rates(steps, size):
    """Learning rates of logistic regression, and its data."""
    rng = np.random.default_rng(0)
    inputs, labels = ho.tensor(rng.normal(size=(size, 20))), ho.tensor(rng.integers(0, 5, size))
    problem = Bilevel(
        lambda w, rates: ho.cross_entropy(inputs @ w, labels),
        lambda w, rates: ho.cross_entropy(inputs @ w, labels),
        init=ho.zeros(20, 5),
        optimizer=lambda rates: SGD(lr=PerStep(rates), momentum=0.9),
    )
    return problem, ho.full((steps,), 0.1)


def measured(steps, checkpoint, size=600):
    """What the method says that it needs, and what it does need."""
    problem, rates = learning_rates(steps, size)
    method = Reverse(steps, checkpoint)
    forecast = hypergradient(problem, rates, method).info.memory
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        hypergradient(problem, rates, method)
        return forecast, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("steps", "checkpoint", "size"),
    [
        (100, "none", 600),
        (300, "none", 100),
        (20, "none", 2000),
        (100, "sqrt", 600),
        (300, "sqrt", 300),
        (200, 30, 600),
    ],
)
def test_the_forecast_of_memory_is_right(steps, checkpoint, size):
    forecast, needed = measured(steps, checkpoint, size)
    assert 0.8 * needed < forecast < 1.2 * needed


def test_memory_grows_as_promised():
    (_, short), (_, long) = measured(36, "none"), measured(144, "none")
    assert 3.5 < long / short < 4.5
    (_, short), (_, long) = measured(36, "sqrt"), measured(144, "sqrt")
    assert long / short < 2.2
    assert measured(144, "binomial")[1] < 0.8 * long


def test_no_step_and_one():
    for steps in (0, 1):
        for checkpoint in ("none", *CHECKPOINTS):
            expected = hypergradient(problem_with("sgd"), OUTER, Reverse(steps))
            found = hypergradient(problem_with("sgd"), OUTER, Reverse(steps, checkpoint))
            close(found[:2], expected[:2])
            assert found.info.memory > 0


def test_a_loss_that_closes_over_what_is_differentiated_is_refused():
    def final(scale):
        problem = Bilevel(lambda w, lr: scale * w**2, lambda w, lr: w, ho.tensor(1.0), lambda lr: SGD(lr=lr))
        return hypergradient(problem, ho.tensor(0.1), Reverse(4, "sqrt")).value

    with pytest.raises(LevelError, match="closure: pass it"):
        ho.func.grad(final)(ho.tensor(2.0))


def test_a_schedule_that_is_too_short_says_so():
    problem, rates = learning_rates(3, 10)
    for checkpoint in ("none", "sqrt"):
        with pytest.raises(ArgumentError, match="PerStep has 3 values, but was asked for step 3"):
            hypergradient(problem, rates, Reverse(4, checkpoint))


@pytest.mark.parametrize("checkpoint", ["all", 0, None, ("binomial", 0)])
def test_what_checkpoint_may_be(checkpoint):
    with pytest.raises(ArgumentError, match="Reverse: checkpoint is .*expected 'none', 'sqrt', 'binomial'"):
        Reverse(4, checkpoint)


def test_an_optimizer_within_another_counts_its_own_steps():
    rates = ho.tensor([0.5, 0.25, 0.125, 0.0625])
    problem = Bilevel(
        lambda w, rates: w,
        lambda w, rates: w,
        init=ho.tensor(1.0),
        optimizer=lambda rates: accumulate(SGD(lr=PerStep(rates)), every=2),
    )
    for checkpoint in ("none", "sqrt"):
        value, hypergrad, _ = hypergradient(problem, rates, Reverse(4, checkpoint))
        assert value.item() == 0.25
        np.testing.assert_array_equal(hypergrad.numpy(), [-1, -1, 0, 0])


@pytest.mark.parametrize("checkpoint", ["none", "sqrt", ("binomial", 2)], ids=str)
def test_compiled(checkpoint):
    problem = problem_with("sgd per step")

    def run(outer):
        result = hypergradient(problem, outer, Reverse(STEPS, checkpoint))
        return result.value, result.hypergrad

    close(ho.compile(run)(OUTER), run(OUTER))


@pytest.mark.parametrize("checkpoint", ["none", "sqrt"])
def test_compiled_with_batches(checkpoint):
    """Batches are asked for by Python numbers, once for each step, whether they can be stacked or not."""
    asked = []

    def problem(size):
        def batch(number):
            asked.append(number)
            return {"x": np.random.default_rng(number).normal(size=(size(number), 3))}

        return Bilevel(
            lambda w, lr, batch: ((batch["x"] @ w - 1) ** 2).mean(), lambda w, lr: (w**2).sum(), init=ho.zeros(3),
            optimizer=lambda lr: SGD(lr=lr), batches=batch,
        )  # fmt: skip

    for size in (lambda number: 4, lambda number: 4 + number % 2):
        run = lambda lr, size=size: hypergradient(problem(size), lr, Reverse(STEPS, checkpoint))[:2]  # noqa: E731
        expected = run(ho.tensor(0.1))
        asked.clear()
        compiled = ho.compile(run)
        close(compiled(ho.tensor(0.1)), expected)
        assert asked == list(range(STEPS))
