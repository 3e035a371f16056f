"""Threads that differentiate at the same time do not see one another."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import hograd as ho

THREADS = 8


@pytest.fixture
def together():
    """A function that runs another for 0 to 7, each in a thread of its own and all begun at once."""

    def run(function):
        gate = threading.Barrier(THREADS, timeout=60)

        def begin(i):
            gate.wait()
            return function(i)

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(begin, range(THREADS)))

    return run


def loss(w, x):
    return ((x @ w).tanh() - 0.5).square().mean()


def work(i):
    """Inner steps and derivatives of several kinds, nested, from data that only `i` decides."""
    rng = np.random.default_rng(i)
    x, start = ho.tensor(rng.normal(size=(6, 3))), ho.tensor(rng.normal(size=3))
    lr = ho.tensor(0.1, requires_grad=True)
    w = start.clone().requires_grad_()
    for _ in range(20):
        (g,) = ho.grad(loss(w, x), w, create_graph=True)
        w = w - lr * g
    loss(w, x).backward()
    rows = ho.func.vmap(ho.func.grad(lambda w, row: loss(w, row[None])), in_dims=(None, 0))(start, x)
    with ho.no_grad():
        square = ho.func.hessian(lambda w: loss(w, x))(start)
    curved = ho.func.grad(lambda w: ho.func.jvp(lambda w: loss(w, x), (w,), (w,))[1])(start)
    return [lr.grad.tolist(), w.tolist(), rows.tolist(), square.tolist(), curved.tolist()]


def test_results_equal_serial_ones(together):
    serial = [work(i) for i in range(THREADS)]
    assert together(work) == serial


class Scaled(ho.autograd.Function):
    """Random draws in the forward, and something saved that is neither input nor answer."""

    @staticmethod
    def forward(ctx, x):
        noise = ho.rand(*x.shape)
        ctx.save_for_backward(noise * x.cos())
        return noise * x.sin()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


SHARED_CHECKPOINT = ho.func.checkpoint(lambda x: (x * ho.rand(*x.shape)).tanh() * x)
SHARED_RULE = ho.func.custom_vjp(lambda x: x.exp())
SHARED_RULE.defvjp(lambda x: (x.exp(), x.exp()), lambda y, g: (y * g,))


def work_by_hand(i):
    """Hooks, and functions with a derivative of their own, which all threads share."""
    ho.manual_seed(i)
    x = ho.tensor(np.random.default_rng(i).normal(size=4), requires_grad=True)
    seen = []
    results = []
    for _ in range(10):
        y = SHARED_CHECKPOINT(Scaled.apply(x)) + SHARED_RULE(x)
        with y.register_hook(lambda g: seen.append(g.tolist()) or g * (i + 1)):
            (g,) = ho.grad((y * y).sum(), x, create_graph=True)
            (g * g).sum().backward()
        results.append(x.grad.tolist())
    mapped = ho.vmap(ho.func.grad(lambda x: SHARED_RULE(Scaled.apply(x))), randomness="different")(x.detach())
    return [*seen, *results, mapped.tolist(), ho.rand().item()]


def test_hooks_and_derivatives_by_hand_equal_serial_ones(together):
    serial = [work_by_hand(i) for i in range(THREADS)]
    assert together(work_by_hand) == serial


def test_grad_mode_belongs_to_the_thread(together):
    middle = threading.Barrier(THREADS, timeout=60)

    def run(i):
        before = ho.is_grad_enabled()
        with ho.set_grad_enabled(i % 2 == 0):
            middle.wait()
            inside = ho.is_grad_enabled(), (ho.tensor(1.0, requires_grad=True) * 2).requires_grad
            middle.wait()
        return before, inside, ho.is_grad_enabled()

    with ho.no_grad():
        assert together(run) == [(True, (i % 2 == 0,) * 2, True) for i in range(THREADS)]


def test_levels_belong_to_the_thread(together):
    """While one thread is inside a transform, the others are not."""
    inside, done = threading.Event(), threading.Event()

    def run(i):
        x = ho.tensor([1.0, 2.0])
        if i == 0:

            def f(x):
                inside.set()
                assert done.wait(60)
                return (x * x).sum()

            return ho.func.grad(f)(x).tolist()
        assert inside.wait(60)
        leaf = ho.tensor([1.0, 2.0], requires_grad=True)
        (leaf * leaf).sum().backward()
        gradient = ho.func.vmap(ho.func.grad(lambda x: x * x))(x)
        if i == 1:
            done.set()
        assert not gradient.requires_grad
        return leaf.grad.tolist()

    assert together(run) == [[2.0, 4.0]] * THREADS


def test_one_graph_differentiated_by_all(together):
    x = ho.tensor([1.0, 2.0], requires_grad=True)
    y = (x.exp() * x).sum()
    gradients = together(lambda i: ho.grad(y, x, retain_graph=True)[0].tolist())
    assert gradients == [gradients[0]] * THREADS
    np.testing.assert_allclose(gradients[0], [2 * np.e, 3 * np.e**2])


def test_random_draws_belong_to_the_thread(together):
    def draw(i):
        ho.manual_seed(i)
        return [ho.randn(3).tolist() for _ in range(5)]

    assert together(draw) == [draw(i) for i in range(THREADS)]
