"""`compile=` of `hypergradient` and `bilevel`: what they give eagerly, captured once, with new batches and starts."""

import gc

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim import LBFGS, SGD, Adam
from optim.hyper import (
    CG,
    DARTS,
    PES,
    Bilevel,
    Dense,
    Forward,
    Implicit,
    Reverse,
    Reversible,
    Truncated,
    ZeroOrder,
    bilevel,
    captured,
    hypergradient,
)

RANDOM = np.random.default_rng(0)
X, Y = ho.tensor(RANDOM.standard_normal((40, 3))), ho.tensor(RANDOM.standard_normal(40))


def problem(batches=None, calls=None):
    """Ridge regression with a penalty of each feature, and how often its inner loss was called."""

    def inner(w, outer, *batch):
        if calls is not None:
            calls.append(1)
        x, y = (X, Y) if not batch else batch[0]
        return ((x @ w - y) ** 2).mean() + (ho.exp(outer["l2"]) * w**2).sum()

    return Bilevel(
        inner,
        lambda w, outer: ((X @ w - Y) ** 2).mean() + 0.1 * (w**3).sum(),
        init=ho.zeros(3),
        optimizer=lambda outer: SGD(lr=ho.exp(outer["lr"]), momentum=0.5),
        batches=batches,
    )


def outer(scale=1.0):
    return {"l2": scale * ho.tensor([-1.0, -2.0, -0.5]), "lr": ho.tensor(-2.5)}


METHODS = {
    "reverse": Reverse(12),
    "sqrt": Reverse(12, checkpoint="sqrt"),
    "truncated": Truncated(12, last=4),
    "forward": Forward(12),
    "implicit": Implicit(CG(steps=5), steps=60),
    "dense": Implicit(Dense(), steps=60),
    "minimizer": Implicit(CG(), solve=LBFGS()),
    "darts": DARTS(lr=0.1, steps=12),
    "zero order": ZeroOrder(12, samples=3),
    "pes": PES(12, window=4, samples=3),
}


@pytest.mark.filterwarnings("ignore::hograd.errors.ConvergenceWarning")
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_compiled_hypergradient_is_the_eager_one(method):
    made = problem()
    for scale in (1.0, 0.5):
        eager = hypergradient(made, outer(scale), method)
        fast = hypergradient(made, outer(scale), method, compile="numpy")
        assert fast.value.item() == pytest.approx(eager.value.item(), rel=1e-10)
        for name in ("l2", "lr"):
            np.testing.assert_allclose(
                fast.hypergrad[name].numpy(), eager.hypergrad[name].numpy(), rtol=1e-8, atol=1e-12
            )
        np.testing.assert_allclose(fast.info.params.numpy(), eager.info.params.numpy(), rtol=1e-10)
        if not (isinstance(method, Implicit) and method.solve):  # how many steps that took, a program does not tell
            assert fast.info.inner_steps == eager.info.inner_steps


def test_a_program_is_captured_once_and_is_dropped_with_its_problem():
    calls = []
    made = problem(calls=calls)
    hypergradient(made, outer(), Reverse(5), compile="numpy")
    first = len(calls)
    for scale in (0.1, 0.2):
        hypergradient(made, outer(scale), Reverse(5), compile="numpy")
    assert first == len(calls) > 0
    hypergradient(made, outer(), Reverse(6), compile="numpy")
    assert len(calls) > first
    number = id(made)
    assert number in captured._captured
    del made
    gc.collect()
    assert number not in captured._captured


def test_batches_and_warm_starts_are_inputs():
    drawn = []

    def batches(number):
        """Another batch at every call."""
        drawn.append(number)
        rows = np.random.default_rng(len(drawn)).permutation(40)[:10]
        return X[rows], Y[rows]

    found = {}
    for backend in (None, "numpy"):
        drawn.clear()
        made = problem(batches)
        values = []
        for _ in range(3):
            # As many batches are asked for either way.
            values.append(hypergradient(made, outer(), Reverse(4), compile=backend).value.item())
            drawn.extend([-1] * (-len(drawn) % 5))
        found[backend] = values
    np.testing.assert_allclose(found["numpy"], found[None], rtol=1e-10)
    assert len(set(found["numpy"])) == 3


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("method", [Reverse(8), Implicit(CG(steps=3), steps=20)], ids=["reverse", "implicit"])
@pytest.mark.filterwarnings("ignore::hograd.errors.ConvergenceWarning")
def test_outer_loop_with_warm_starts_is_the_eager_one(method, backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    calls = []
    options = {"steps": 6, "warm_start": True}
    start = {"l2": outer()["l2"], "lr": ho.tensor(-3.0)}
    eager = bilevel(problem(), start, Adam(lr=0.1), method, **options)
    fast = bilevel(problem(calls=calls), start, Adam(lr=0.1), method, compile=backend, **options)
    np.testing.assert_allclose(fast.history, eager.history, rtol=1e-8)
    again = []
    bilevel(problem(calls=again), start, Adam(lr=0.1), method, compile=backend, **options | {"steps": 30})
    if isinstance(method, Reverse):  # an implicit method calls it when the program runs, too
        assert len(again) == len(calls)


def test_what_cannot_be_compiled_says_so():
    with pytest.raises(ArgumentError, match="Reversible cannot be compiled; leave `compile` out, or use Reverse"):
        hypergradient(problem(), outer(), Reversible(2), compile="numpy")


def test_an_unknown_backend_is_named():
    with pytest.raises(ArgumentError, match="compile is 'jit', expected 'numpy', 'native' or None"):
        hypergradient(problem(), outer(), Reverse(2), compile="jit")
