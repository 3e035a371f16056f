"""Inner training that diverges: every method says so, in which step it began, and by which setting."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ConvergenceError
from optim import SGD, Adam
from optim.hyper import (
    CG,
    DARTS,
    PES,
    Bilevel,
    Forward,
    Identity,
    Implicit,
    Reverse,
    Reversible,
    Truncated,
    ZeroOrder,
    bilevel,
    hypergradient,
    train,
)
from optim.schedules import PerStep

X = ho.tensor(np.random.default_rng(0).normal(size=(5, 3)))


def inner(w, outer):
    return ((X @ w - 1) ** 4).sum()


def judged(w, outer):
    return (w**2).sum()


def problem(optimizer=lambda outer: SGD(lr=outer["lr"], momentum=outer["momentum"])):
    return Bilevel(inner, judged, ho.zeros(3), optimizer=optimizer)


OUTER = {"lr": 10.0, "momentum": 0.5}
METHODS = [
    Reverse(20),
    Reverse(20, checkpoint="sqrt"),
    Reverse(20, checkpoint="binomial"),
    Forward(20),
    Truncated(20, last=5),
    Truncated(20, last=0),
    Reversible(20),
    Implicit(CG(), steps=20),
    Implicit(Identity(), steps=20),
    DARTS(lr=0.1, steps=20),
    ZeroOrder(steps=20, sigma=0.1, samples=2),
    PES(steps=20, window=5, sigma=0.1, samples=2),
]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_tells_the_step_and_the_learning_rate_and_numpy_is_silent(method):
    """Warnings are errors in the tests."""
    with pytest.raises(
        ConvergenceError,
        match=r"The inner training diverges: from step 0 of 20 on its loss grows, and params is not finite after step "
        r"[0-9]+\. Lower the learning rate, which is 10 \(by outer\['lr'\]\)\.",
    ):
        hypergradient(problem(), OUTER, method)


def test_training_and_the_outer_loop_follow_the_same_rule():
    with pytest.raises(ConvergenceError, match=r"params is not finite\. The inner training diverges"):
        train(problem(), OUTER, 20)
    with pytest.raises(ConvergenceError, match=r"bilevel: in outer step 0: .*The inner training diverges"):
        bilevel(problem(), OUTER, SGD(lr=0.1), Reverse(20), steps=2)
    with pytest.raises(ConvergenceError, match="The inner training diverges"):
        ho.func.grad(lambda lr: hypergradient(problem(), {**OUTER, "lr": lr}, Reverse(20)).value)(ho.tensor(10.0))


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_what_is_compiled_for_the_caller_follows_it_too(backend):
    if backend == "native":
        pytest.importorskip("llvmlite", reason="machine code needs the extra `jit`")
    with pytest.raises(ConvergenceError, match=r"from step 0 of 20 .*by outer\['lr'\]"):
        hypergradient(problem(), OUTER, Reverse(20), compile=backend)
    with pytest.raises(ConvergenceError, match=r"bilevel: in outer step 0: .*The inner training diverges"):
        bilevel(problem(), OUTER, SGD(lr=0.1), Reverse(20), steps=2, compile=backend)


@pytest.mark.parametrize(
    ("outer", "optimizer", "told"),
    [
        (SGD(lr=10.0), None, r"from step 0 of .* is 10 \(by outer\.lr\)"),
        (Adam(lr=1e200), None, r"from step 0 of .* is 1e\+200 \(by outer\.lr\)"),
        (ho.tensor(1.0), SGD(lr=10.0), r"from step 0 of .* is 10 \(by SGD\.lr\)"),
        ({"log": 2.0}, lambda outer: SGD(lr=ho.exp(outer["log"])), r"is 7\.389 \(by outer\['log'\]\)"),
        (SGD(lr=PerStep([1e-3] * 5 + [9.0] * 15)), None, r"from step 5 of .* is 9 \(by outer\.lr"),
    ],
    ids=["optimizer", "adam", "fixed", "logarithm", "schedule"],
)
def test_the_rate_is_named_by_its_path(outer, optimizer, told):
    with pytest.raises(ConvergenceError, match=told):
        hypergradient(problem(optimizer), outer, Reverse(20))


def test_what_is_not_finite_after_a_sound_training_is_not_laid_on_it():
    sound = Bilevel(
        lambda w, a: ((w - a) ** 2).sum(), lambda w, a: ho.sqrt((a - 1) ** 2), ho.zeros(2), optimizer=SGD(lr=0.1)
    )
    with pytest.raises(ConvergenceError, match=r"hypergradient is not finite\. The inner training stays finite"):
        hypergradient(sound, ho.tensor(1.0), Reverse(5))


def test_a_mapped_run_that_diverges_leaves_the_others_alone():
    rates = ho.tensor([1e-3, 10.0])
    values = ho.func.vmap(lambda lr: hypergradient(problem(), {**OUTER, "lr": lr}, Reverse(20)).value)(rates)
    alone = hypergradient(problem(), {**OUTER, "lr": 1e-3}, Reverse(20)).value
    np.testing.assert_allclose(values[0].item(), alone.item(), rtol=1e-12)
    assert not np.isfinite(values[1].item())
