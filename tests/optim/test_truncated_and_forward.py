"""Truncated reverse mode and forward mode: against closed forms, full reverse mode, and each other."""

import gc
import tracemalloc

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim import SGD, Adam
from optim.hyper import Bilevel, Forward, Reverse, Truncated, hypergradient
from optim.schedules import PerStep

RNG = np.random.default_rng(3)
DATA = RNG.normal(size=(8, 3))
TARGET = RNG.normal(size=8)
STEPS = 6

OPTIMIZERS = {
    "sgd": SGD(lr=0.1),
    "momentum": SGD(lr=0.1, momentum=0.8, dampening=0.25, weight_decay=0.1),
    "per step": SGD(lr=PerStep(np.linspace(0.1, 0.2, STEPS)), momentum=0.5),
    "adam": Adam(lr=0.1, betas=(0.8, 0.95), eps=0.01, weight_decay=0.1),
}


def network(params, outer, *batch):
    y = ho.tanh(ho.tensor(DATA) @ params["w"]) + params["b"]
    return ((y - ho.tensor(TARGET)) ** 2).mean() * (1.0 + (batch[0] if batch else 0.0))


def judged(params, outer):
    return (params["w"] ** 2).sum() + params["b"] ** 3


def problem(**changes):
    start = {"w": ho.tensor(RNG.normal(size=3)), "b": ho.tensor(0.3)}
    return Bilevel(network, judged, init=start, **changes)


def close(found, expected, rtol=1e-11):
    assert ho.tree.structure(found) == ho.tree.structure(expected)
    for y, e in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
        assert y.shape == e.shape
        assert y.dtype == e.dtype
        np.testing.assert_allclose(y.detach().numpy(), e.detach().numpy(), rtol=rtol, atol=1e-14)


def quadratic(curvature, w0):
    """Gradient descent with rate 0.1 on h/2 w^2 + a w, judged by w: the derivative by a is known in closed form."""
    return Bilevel(
        lambda w, outer: (0.5 * curvature * w**2).sum() + (outer * w).sum(),
        lambda w, outer: w.sum(),
        init=w0,
        optimizer=SGD(lr=0.1),
    )


def test_quadratic_in_closed_form():
    curvature, w0 = ho.tensor([3.0, 1.0]), ho.tensor([1.0, -2.0])
    outer = ho.tensor([0.2, 0.7])
    shrink = 1 - 0.1 * curvature.numpy()
    for last in (0, 1, 4, 20):
        _, found, info = hypergradient(quadratic(curvature, w0), outer, Truncated(steps=20, last=last))
        # Each differentiated step adds -lr, shrunk by all that come after it.
        np.testing.assert_allclose(found.numpy(), -0.1 * (1 - shrink**last) / (1 - shrink), rtol=1e-13)
        assert info.hessian_products == last
    value, found, info = hypergradient(quadratic(curvature, w0), outer, Forward(steps=20))
    np.testing.assert_allclose(found.numpy(), -0.1 * (1 - shrink**20) / (1 - shrink), rtol=1e-13)
    fixed = -outer.numpy() / curvature.numpy()
    assert float(value) == pytest.approx(float((fixed + shrink**20 * (w0.numpy() - fixed)).sum()), rel=1e-13)
    assert (info.inner_steps, info.hessian_products) == (20, 40)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("method", [Forward(STEPS), Truncated(STEPS, last=STEPS)], ids=["forward", "truncated"])
def test_equal_to_reverse_mode(name, method):
    here = problem()
    expected = hypergradient(here, OPTIMIZERS[name], Reverse(STEPS))
    found = hypergradient(here, OPTIMIZERS[name], method)
    close(found.value, expected.value)
    close(found.hypergrad, expected.hypergrad)
    close(found.info.params, expected.info.params)
    assert found.info.state.pop("step") == expected.info.state.pop("step") == STEPS
    close(found.info.state, expected.info.state)


def test_plain_numbers_that_are_off_have_their_derivative_too():
    here = problem()
    expected = hypergradient(here, SGD(lr=0.1), Reverse(STEPS)).hypergrad
    close(hypergradient(here, SGD(lr=0.1), Forward(STEPS)).hypergrad, expected)
    # The buffer before the cut is there, although the momentum is 0.
    cut = hypergradient(here, SGD(lr=0.1), Truncated(STEPS, last=1)).hypergrad
    tensors = ho.tree.map(ho.tensor, SGD(lr=0.1))
    close(cut, hypergradient(here, tensors, Truncated(STEPS, last=1)).hypergrad)
    assert float(cut.momentum) != 0


def test_the_start_may_depend_on_the_outer_variables_and_batches_change():
    here = Bilevel(
        lambda w, outer, batch: ((w - batch) ** 2).sum() * outer["scale"],
        lambda w, outer: (w**2).sum() + outer["scale"] ** 2,
        init=lambda outer: outer["start"] * 2,
        optimizer=SGD(lr=0.1, momentum=0.5),
        batches=lambda number: float(number),
    )
    outer = {"scale": ho.tensor(0.7), "start": ho.tensor([0.5, -1.0])}
    expected = hypergradient(here, outer, Reverse(4)).hypergrad
    close(hypergradient(here, outer, Forward(4)).hypergrad, expected)
    close(hypergradient(here, outer, Truncated(4, last=4)).hypergrad, expected)
    # A cut keeps the constant part of the start.
    assert hypergradient(here, outer, Truncated(4, last=3)).hypergrad["start"].numpy().tolist() == [0.0, 0.0]


def test_derivatives_of_both_in_both_modes():
    here = problem()
    outer, direction = SGD(lr=0.1, momentum=0.5), SGD(lr=1.0, momentum=0.3, dampening=0.2, weight_decay=0.1)
    outer, direction = ho.tree.map(ho.tensor, outer), ho.tree.map(ho.tensor, direction)

    def along(method):
        def slope(opt):
            found = hypergradient(here, opt, method).hypergrad
            pairs = zip(ho.tree.leaves(found), ho.tree.leaves(direction), strict=True)
            return sum((g * t).sum() for g, t in pairs)

        return slope

    expected = ho.func.grad(along(Reverse(3)))(outer)
    for method in (Forward(3), Truncated(3, last=3)):
        close(ho.func.grad(along(method))(outer), expected, 1e-10)
        forward = ho.func.jvp(along(method), (outer,), (direction,))[1]
        total = sum(
            float((g * t).sum()) for g, t in zip(ho.tree.leaves(expected), ho.tree.leaves(direction), strict=True)
        )
        assert float(forward) == pytest.approx(total, rel=1e-10)
    cut = along(Truncated(3, last=1))
    both = [float(cut(outer.replace(lr=outer.lr + h))) for h in (-1e-5, 1e-5)]
    assert float(ho.func.grad(cut)(outer).lr) == pytest.approx((both[1] - both[0]) / 2e-5, rel=1e-7)


def test_online_the_outer_variables_may_change_on_the_way():
    here = problem()
    rates = [0.1, 0.2, 0.05]
    online = Forward(steps=0)
    progress = online.start(here, SGD(lr=rates[0]))
    for rate in rates:
        progress = online.advance(here, SGD(lr=rate), progress, steps=1)
    value, found, info = online.read(here, SGD(lr=rates[-1]), progress)
    # The same as one rate that all three share, which is moved at once.
    scheduled = hypergradient(here, SGD(lr=PerStep(np.array(rates))), Reverse(3))
    close(value, scheduled.value)
    assert float(found.lr) == pytest.approx(float(scheduled.hypergrad.lr.values.sum()), rel=1e-12)
    assert info.inner_steps == 3


def test_forward_memory_does_not_grow_with_the_steps():
    here = quadratic(ho.ones(20_000), ho.ones(20_000))
    here = Bilevel(here.inner_loss, here.outer_loss, init=here.init, optimizer=lambda outer: SGD(lr=outer["lr"]))
    here = Bilevel(lambda w, _: (w**2).sum(), here.outer_loss, init=here.init, optimizer=here.optimizer)
    peaks = []
    for steps in (5, 100):
        gc.collect()
        tracemalloc.start()
        hypergradient(here, {"lr": 0.1}, Forward(steps))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept(dtype):
    here = Bilevel(
        lambda w, o: (w**2).sum(), lambda w, o: w.sum(), ho.ones(2, dtype=dtype), optimizer=lambda o: SGD(lr=o["lr"])
    )
    outer = {"lr": ho.tensor(0.1, dtype=dtype), "other": ho.tensor(1.0)}
    for method in (Forward(2), Truncated(2, last=1)):
        value, found, _ = hypergradient(here, outer, method)
        assert value.dtype == found["lr"].dtype == dtype
        assert found["other"].dtype == np.float64


def test_no_outer_variable_and_no_step():
    here = problem(optimizer=SGD(lr=0.1))
    for method in (Forward(2), Truncated(2, last=1)):
        assert hypergradient(here, {}, method).hypergrad == {}
    for method in (Forward(0), Truncated(0, last=0)):
        found = hypergradient(here, {"unused": 1.0}, method)
        assert float(found.value) == float(judged(here.init, None))
        assert float(found.hypergrad["unused"]) == 0


def test_errors():
    with pytest.raises(ArgumentError, match="Truncated: last is 5, expected at most steps, which is 4"):
        Truncated(steps=4, last=5)
    with pytest.raises(ArgumentError, match="Truncated: last is -1, expected a whole number of at least 0"):
        Truncated(steps=4, last=-1)
    with pytest.raises(ArgumentError, match=r"Forward: steps is 2\.5, expected a whole number"):
        Forward(steps=2.5)
