"""The cut between forward and backward."""

import numpy as np
import pytest

import hograd as ho
from hograd.program.cut import cut
from hograd.program.ir import evaluate


def f(x, w):
    h = (x @ w).exp()
    return (h.sin() * h).T.reshape(2, 6), x.sum()


def joint(wanted):
    def function(x, w, *weights):
        def of_wanted(w):
            return f(x, w) if wanted == "w" else f(w, x)

        (first, second), pull = ho.func.vjp(of_wanted, w)
        return first, second, pull(weights)[0]

    return function


def test_halves_compute_what_the_whole_does():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in [(3, 4), (4, 4), (2, 6), ()]]
    program = ho.compile(joint("w")).program(*map(ho.tensor, arrays))
    forward, backward = cut(program, 2, 2)
    *expected, slope = evaluate(program, arrays)
    found = evaluate(forward, arrays[:2])
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    (pulled,) = evaluate(backward, [*arrays[:2], *found[2:], *arrays[2:]])
    np.testing.assert_array_equal(pulled, slope)
    names = {at.primitive.name for at in backward.instructions}
    assert not names & {"exp", "sin"}
    # What backward repeats shows memory that it has, and forward keeps none of that twice.
    kept = {forward.kinds[s].shape for s in forward.outputs[2:]}
    assert kept == {(3, 4)}


def test_forward_runs_once_for_value_and_gradient():
    runs = []

    @ho.compile
    def g(x):
        runs.append(1)
        return (x.exp() * x).sum(), (x > 0).sum(), x

    x = ho.randn(5)
    for _ in range(3):
        leaf = x.clone().requires_grad_()
        total, count, same = g(leaf)
        assert not count.requires_grad
        (slope,) = ho.grad((total * 3 + same.sum()), leaf)
        np.testing.assert_allclose(slope.numpy(), (3 * (x + 1) * x.exp() + 1).numpy(), rtol=1e-12)
    # One run to see what is computed, one for the two halves.
    assert len(runs) == 2


def test_only_the_answers_that_are_used_pull_back():
    g = ho.compile(lambda x: (x.sin(), x.cos()))
    x = ho.randn(3, requires_grad=True)
    first, second = g(x)
    (slope,) = ho.grad(second.sum(), x, retain_graph=True)
    np.testing.assert_allclose(slope.numpy(), -np.sin(x.detach().numpy()), rtol=1e-12)
    (slope,) = ho.grad(first.sum(), x)
    np.testing.assert_allclose(slope.numpy(), np.cos(x.detach().numpy()), rtol=1e-12)
    with pytest.raises(ho.errors.FreedGraphError):
        ho.grad(first.sum(), x)


def test_nothing_is_recorded_where_nothing_is_asked():
    g = ho.compile(lambda x, k: x * k)
    x = ho.ones(2, requires_grad=True)
    with ho.no_grad():
        assert not g(x, 2.0).requires_grad
    assert not g(x.detach(), 2.0).requires_grad
    assert g(x, 2.0).requires_grad
    ho.func.jvp(lambda x: g(x, 2.0), (x.detach(),), (x.detach(),))


def test_what_is_computed_alike_before_and_after_the_cut_stays_apart():
    @ho.compile
    def g(k, x, y):
        return (x.sin() * k).sum(), y.cos() * k

    k, x, y = (ho.tensor(v, requires_grad=True) for v in (0.5, np.arange(3.0), np.arange(4.0)))

    def slopes(f):
        total, many = f(k, x, y)
        first = ho.grad(total + (many * k).sum(), (k, x, y), create_graph=True)
        return [*first, *ho.grad(sum((v * v).sum() * k for v in first), (k, x, y))]

    for found, expected in zip(slopes(g), slopes(g.function), strict=True):
        np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
