"""The forecast of memory in compiled functions, against what their runs need."""

import gc
import tracemalloc

import numpy as np
import pytest

import hograd as ho
from optim import SGD
from optim.hyper import Bilevel, Forward, Reverse, Truncated, hypergradient
from optim.schedules import PerStep

ARRAYS = [tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)]


def arrays():
    """The bytes of NumPy's arrays."""
    gc.collect()
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(ARRAYS).traces)


def needed(function, *args):
    """The bytes of arrays that a compiled function keeps between calls, and the most that a call takes beside them."""
    function(*args)
    gc.collect()
    tracemalloc.start()
    try:
        before = arrays()
        compiled = ho.compile(function)
        compiled(*args)
        kept = arrays() - before
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        result = compiled(*args)
        return kept + tracemalloc.get_traced_memory()[1] - before, result
    finally:
        tracemalloc.stop()


def logistic(steps, size, *, inputs=4, classes=30, rates=PerStep):
    """Learning rates of logistic regression with little data, and where they begin."""
    rng = np.random.default_rng(0)
    x, labels = ho.tensor(rng.normal(size=(size, inputs))), ho.tensor(rng.integers(0, classes, size))
    problem = Bilevel(
        lambda w, _: ho.cross_entropy(x @ w, labels),
        lambda w, _: ho.cross_entropy(x @ w, labels),
        init=ho.zeros(inputs, classes),
        optimizer=lambda outer: SGD(lr=rates(outer), momentum=0.9),
    )
    return problem, ho.full((steps,), 0.1)


CASES = [
    (Reverse(100), 600),
    (Reverse(300), 100),
    (Reverse(100, "sqrt"), 600),
    (Reverse(300, "sqrt"), 300),
    (Reverse(200, 30), 600),
    (Reverse(200, 1), 600),
    (Reverse(100, "binomial"), 600),
    (Truncated(100, last=40), 600),
    (Truncated(60, last=60), 300),
]


@pytest.mark.parametrize(("method", "size"), CASES, ids=str)
def test_the_forecast_of_a_compiled_function_is_right(method, size):
    problem, rates = logistic(method.steps, size)
    found, (_, _, info) = needed(lambda rates: hypergradient(problem, rates, method), rates)
    # The indicator of the classes, by rows and by columns, is made of data once, and not counted: it shows where little
    # else is kept.
    few = method in (Reverse(200, 1), Reverse(100, "binomial"))
    assert (0.7 if few else 0.8) * found < info.memory < 1.2 * found


@pytest.mark.parametrize(("steps", "size", "count"), [(10, 600, 8), (40, 300, 20), (20, 50, 100)])
def test_the_forecast_of_compiled_forward_mode_is_right(steps, size, count):
    problem, _ = logistic(steps, size, rates=lambda outer: outer.mean())
    found, (_, _, info) = needed(lambda outer: hypergradient(problem, outer, Forward(steps)), ho.full((count,), 0.1))
    assert 0.8 * found < info.memory < 1.2 * found


def test_the_forecast_where_steps_are_captured_one_by_one():
    # Batches of several shapes cannot be one loop.
    rng = np.random.default_rng(0)
    data = [ho.tensor(rng.normal(size=200 + 10 * (n % 3))) for n in range(30)]
    problem = Bilevel(
        lambda w, lr, x: ((w[:, None] - x).tanh() ** 2).mean(), lambda w, lr: (w**2).sum(), ho.ones(100),
        lambda lr: SGD(lr=lr), batches=lambda number: data[number],
    )  # fmt: skip
    found, (_, _, info) = needed(lambda lr: hypergradient(problem, lr, Reverse(30)), ho.tensor(0.1))
    assert 0.8 * found < info.memory < 1.2 * found


def test_memory_of_compiled_functions_grows_as_promised():
    def forecast(method, size=200):
        problem, rates = logistic(method.steps, size)
        return ho.compile(lambda rates: hypergradient(problem, rates, method))(rates).info.memory

    assert 3.5 < forecast(Reverse(400)) / forecast(Reverse(100)) < 4.1
    assert forecast(Reverse(400, "sqrt")) / forecast(Reverse(100, "sqrt")) < 2.2
    assert forecast(Reverse(400, "binomial")) < 0.7 * forecast(Reverse(400, "sqrt"))
    assert forecast(Truncated(400, last=30)) == pytest.approx(forecast(Truncated(100, last=30)), rel=0.02)
    assert forecast(Truncated(100, last=60)) > 1.7 * forecast(Truncated(100, last=30))


def test_data_lies_in_memory_once_for_all_loops():
    # The loops of this program are many, and each of them reads the inputs by columns.
    problem, rates = logistic(100, 2000, inputs=20, classes=5)
    inputs = 2000 * 20 * 8
    found, (_, _, info) = needed(lambda rates: hypergradient(problem, rates, Reverse(100, "binomial")), rates)
    assert found < info.memory + 4 * inputs


METHODS = [Reverse(9), Reverse(9, "sqrt"), Reverse(9, 4), Truncated(9, 4), Truncated(9, 1), Truncated(9, 0), Forward(9)]


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("batches", ["none", "alike", "unlike"])
def test_compiled_results_are_whole(method, batches):
    rng = np.random.default_rng(1)
    data = [ho.tensor(rng.normal(size=4 + (n % 3 if batches == "unlike" else 0))) for n in range(9)]
    problem = Bilevel(
        lambda w, outer, x=data[0]: ((w - x.mean()) ** 2).sum() + (w.sum() - x.sum()) ** 2,
        lambda w, outer: (w**3).sum(),
        init=ho.ones(3),
        optimizer=lambda outer: SGD(lr=PerStep(outer["rates"]), momentum=outer["momentum"]),
        batches=None if batches == "none" else lambda number: data[number],
    )
    outer = {"rates": ho.full((9,), 0.05), "momentum": ho.tensor(0.9)}
    expected = hypergradient(problem, outer, method)
    found = ho.compile(lambda outer: hypergradient(problem, outer, method))(outer)
    for one, other in [(found.value, expected.value), (found.info.params, expected.info.params)]:
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)
    for name, g in expected.hypergrad.items():
        np.testing.assert_allclose(found.hypergrad[name].numpy(), g.numpy(), rtol=1e-11, atol=1e-13)
    assert int(found.info.state["step"]) == 9
    counts = ("inner_steps", "inner_gradients", "hessian_products", "converged")
    assert [getattr(found.info, n) for n in counts] == [getattr(expected.info, n) for n in counts]
    assert type(found.info.memory) is int


def test_the_forecast_is_there_within_a_loop():
    problem, rates = logistic(20, 50)

    def step(rates, _):
        result = hypergradient(problem, rates, Reverse(20))
        return rates - 0.1 * result.hypergrad, result.info

    info = ho.compile(lambda rates: ho.scan(step, rates, length=3)[1])(rates)
    alone = ho.compile(lambda rates: hypergradient(problem, rates, Reverse(20)).info)(rates)
    assert info.params.shape == (3, 4, 30)
    np.testing.assert_allclose(info.memory.numpy(), alone.memory, rtol=0.05)
