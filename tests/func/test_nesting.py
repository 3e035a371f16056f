"""Transforms inside transforms, against loops and closed forms: no derivative is taken for another."""

import itertools

import numpy as np
import pytest

import hograd as ho
from hograd.func import grad, grad_and_value, hessian, hvp, jacfwd, jacrev, jvp, vjp, vmap

rng = np.random.default_rng(0)


def normal(*shape):
    return ho.tensor(rng.normal(size=shape))


def close(found, expected):
    for a, b in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)


def derivative_forward(f):
    """The derivative of a function of one number, by forward mode."""
    return lambda x: jvp(f, (x,), (ho.tensor(1.0),))[1]


def derivative_vjp(f):
    return lambda x: vjp(f, x)[1](ho.tensor(1.0))[0]


def derivative_imperative(f):
    """The derivative as code written for the eager tape takes it."""

    def derivative(x):
        x = x * 1
        if not x.requires_grad:
            x = x.detach().requires_grad_()
        return ho.grad(f(x), x, create_graph=True, materialize_grads=True)[0]

    return derivative


MODES = {"reverse": grad, "forward": derivative_forward, "vjp": derivative_vjp, "jacrev": jacrev, "jacfwd": jacfwd}
PAIRS = list(itertools.product(MODES, repeat=2))


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request):
    return [MODES[name] for name in request.param]


class TestPerturbationConfusion:
    """Derivatives inside derivatives whose functions share variables."""

    def test_inner_function_uses_the_outer_variable(self, pair):
        outer, inner = pair
        # d/dx [ x d/dy (x + y) ] = 1
        assert outer(lambda x: x * inner(lambda y: x + y)(ho.tensor(1.0)))(ho.tensor(1.0)).item() == 1.0
        # d/dx [ x d/dy (x y) at y = 2 ] = 2 x
        assert outer(lambda x: x * inner(lambda y: x * y)(ho.tensor(2.0)))(ho.tensor(3.0)).item() == 6.0

    def test_at_the_same_point(self, pair):
        outer, inner = pair
        # d/dx [ d/dy (x^2 y^3) at y = x ] = d/dx 3 x^4 = 12 x^3
        found = outer(lambda x: inner(lambda y: x**2 * y**3)(x))(ho.tensor(2.0))
        assert found.item() == pytest.approx(96.0, rel=1e-14)

    def test_inner_variable_is_dropped(self, pair):
        outer, inner = pair
        assert outer(lambda x: inner(lambda y: x * x)(x) + x)(ho.tensor(2.0)).item() == 1.0
        assert outer(lambda x: inner(lambda y: y * y)(ho.tensor(3.0)) * x)(ho.tensor(2.0)).item() == 6.0

    def test_detached_outer_variable(self, pair):
        outer, inner = pair
        # d/dx [ d/dy (c y^2) at y = x ] = 2 c with c = x taken as a constant
        found = outer(lambda x: inner(lambda y: x.detach() * y**2)(x))(ho.tensor(3.0))
        assert found.item() == 6.0

    def test_closure_of_a_closure(self, pair):
        outer, inner = pair

        def f(x):
            def g(y):
                def h(z):
                    return x * y**2 * z**3

                return inner(h)(y) * x  # 3 x^2 y^4

            return inner(g)(x)  # 12 x^2 y^3 at y = x, which is 12 x^5

        assert outer(f)(ho.tensor(1.5)).item() == pytest.approx(60 * 1.5**4, rel=1e-13)

    def test_inner_derivative_at_a_function_of_the_outer_variable(self, pair):
        outer, inner = pair
        # inner derivative of sin(x y) at y = x^2: x cos(x^3)
        x = 0.7
        found = outer(lambda x: inner(lambda y: (x * y).sin())(x * x))(ho.tensor(x))
        assert found.item() == pytest.approx(np.cos(x**3) - 3 * x**3 * np.sin(x**3), rel=1e-13)


def eager_tape_lies_outside(modes):
    """No forward mode around an imperative derivative, which it refuses."""
    forward = [i for i, mode in enumerate(modes) if mode is derivative_forward]
    return not any(mode is derivative_imperative for mode in modes[min(forward, default=3) :])


THREE = filter(eager_tape_lies_outside, itertools.product([grad, derivative_forward, derivative_imperative], repeat=3))


@pytest.mark.parametrize("modes", list(THREE))
def test_third_derivatives_in_every_mode(modes):
    f = modes[0](modes[1](modes[2](lambda x: x.sin() * x**3)))
    x = 0.8
    third = (6 - 9 * x**2) * np.sin(x) + (18 * x - x**3) * np.cos(x)
    assert f(ho.tensor(x)).item() == pytest.approx(third, rel=1e-12)
    leaf = ho.tensor(x, requires_grad=True)
    assert f(leaf).item() == pytest.approx(third, rel=1e-12)
    fourth = (x**3 - 36 * x) * np.sin(x) + (24 - 12 * x**2) * np.cos(x)
    assert ho.grad(f(leaf), leaf)[0].item() == pytest.approx(fourth, rel=1e-12)


@pytest.mark.parametrize("order", range(1, 7))
def test_many_orders(order):
    f, x = ho.exp, ho.tensor(0.3)
    for i in range(order):
        f = [grad, derivative_forward][i % 2](f)
    assert f(x).item() == pytest.approx(np.exp(0.3), rel=1e-13)


def test_per_sample_gradients_equal_a_loop():
    w, b, x, y = normal(3, 2), normal(2), normal(5, 3), ho.tensor([0, 1, 1, 0, 1])

    def loss(p, x, y):
        return ho.cross_entropy((x @ p["w"] + p["b"]).tanh()[None], y[None])

    p = {"w": w, "b": b}
    found = vmap(grad_and_value(loss), (None, 0, 0))(p, x, y)
    expected = [grad_and_value(loss)(p, x[i], y[i]) for i in range(5)]
    close(found, ho.tree.map(lambda *rows: ho.stack(rows), *expected))


def test_ensembles_of_hessians_equal_a_loop():
    w, x = normal(4, 3), normal(5, 3)

    def f(w):
        return (x @ w).softplus().sum()

    close(vmap(hessian(f))(w), ho.stack([hessian(f)(v) for v in w]))
    close(vmap(lambda v: hvp(f, v, v * 2))(w), ho.stack([hvp(f, v, v * 2) for v in w]))
    s = (x @ w.T).sigmoid()
    close(vmap(hessian(f))(w), ho.einsum("nk,ni,nj->kij", s * (1 - s), x, x))


def step_func(loss, w, lr):
    return w - lr * grad(loss)(w)


def step_imperative(loss, w, lr):
    (g,) = ho.grad(loss(w), w, create_graph=True)
    return w - lr * g


def step_vjp(loss, w, lr):
    _, pull = vjp(loss, w)
    return w - lr * pull(ho.tensor(1.0))[0]


def step_jacfwd(loss, w, lr):
    return w - lr * jacfwd(loss)(w)


@pytest.mark.parametrize("mapped_lr", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("step", [step_func, step_imperative, step_vjp, step_jacfwd])
def test_gradient_of_a_vmap_over_inner_steps(step, steps, mapped_lr):
    w, x, y = normal(3), normal(4, 6, 3), normal(4, 6)
    lr = normal(4).abs() * 0.1 if mapped_lr else ho.tensor(0.1)

    def task_loss(w, x, y, lr):
        def inner(w):
            return ((x @ w).tanh() - y).square().mean()

        for _ in range(steps):
            w = step(inner, w, lr)
        return inner(w)

    dims = (0, 0, 0, 0 if mapped_lr else None)

    def mapped(w, lr):
        # The imperative step differentiates by what is mapped.
        starts = ho.stack([w] * 4)
        return vmap(task_loss, dims)(starts, x, y, lr).mean()

    def looped(w, lr):
        rates = lr if mapped_lr else [lr] * 4
        return sum(task_loss(w * 1, x[i], y[i], rates[i]) for i in range(4)) / 4

    close(grad_and_value(mapped, (0, 1))(w, lr), grad_and_value(looped, (0, 1))(w, lr))
    w_leaf, lr_leaf = w.clone().requires_grad_(), lr.clone().requires_grad_()
    close(ho.grad(mapped(w_leaf, lr_leaf), (w_leaf, lr_leaf)), grad(looped, (0, 1))(w, lr))
    if step is not step_imperative:
        close(hvp(lambda w: mapped(w, lr), w, w), hvp(lambda w: looped(w, lr), w, w))


def test_hypergradient_of_an_imperative_loop_inside_a_transform():
    def final(lr):
        w = ho.tensor([1.0, -2.0], requires_grad=True)
        for _ in range(3):
            (g,) = ho.grad((w**2).sum(), w, create_graph=True)
            w = w - lr * g
        return (w**2).sum()

    # 5 (1 - 2 lr)^6
    assert grad(final)(ho.tensor(0.1)).item() == pytest.approx(-60 * 0.8**5, rel=1e-12)
    assert grad(grad(final))(ho.tensor(0.1)).item() == pytest.approx(600 * 0.8**4, rel=1e-12)
    rates = ho.tensor([0.1, 0.2])
    close(vmap(grad(lambda lr: final(lr)))(rates), -60 * (1 - 2 * rates) ** 5)


def test_imperative_backward_through_a_transform_of_every_kind():
    x = normal(3).requires_grad_()
    v = normal(3)

    def f(x):
        return (x**4).sum()

    results = {
        "grad": (grad(f)(x), 12 * x**2),
        "jvp": (jvp(lambda x: x**4, (x,), (v,))[1], 12 * x**2 * v),
        "vjp": (vjp(lambda x: x**4, x)[1](v)[0], 12 * x**2 * v),
        "vmap": (vmap(lambda s: s**4)(x), 4 * x**3),
        "vmap of grad": (vmap(grad(lambda s: s**4))(x), 12 * x**2),
        "hvp": (hvp(f, x, v), 24 * x * v),
    }
    for found, expected in results.values():
        close(ho.grad(found.sum(), x), (expected,))


class TestGradMode:
    """The cases of PyTorch's documentation: a transform heeds a `no_grad` inside it and not one around it."""

    def test_inside(self, pair):
        outer, inner = pair

        def f(x):
            with ho.no_grad():
                c = x.detach() ** 2
            return x**3 - c * x

        # d/dx: 3 x^2 - c; d/dx again: 6 x, since c is a constant at every level
        assert outer(inner(f))(ho.tensor(2.0)).item() == 12.0

    def test_around(self, pair):
        outer, inner = pair
        with ho.no_grad():
            assert outer(inner(lambda x: x**3))(ho.tensor(2.0)).item() == 12.0
        assert ho.is_grad_enabled()

    def test_around_the_inner_transform_makes_it_a_constant_of_the_outer(self):
        def f(x):
            with ho.no_grad():
                g = grad(lambda y: y**3)(x)
            return g * x

        assert grad(f)(ho.tensor(2.0)).item() == 12.0
        assert grad(lambda x: grad(f)(x) * x)(ho.tensor(2.0)).item() == 12.0

    def test_around_the_pull_makes_it_a_constant(self):
        def f(x):
            y, pull = vjp(lambda z: z**3, x)
            with ho.no_grad():
                (g,) = pull(ho.tensor(1.0))
            return g * x + y

        assert grad(f)(ho.tensor(2.0)).item() == 24.0

    def test_enable_grad_inside_no_grad_inside(self):
        def f(x):
            with ho.no_grad():
                with ho.enable_grad():
                    y = x**2
                z = x**2
            return y + 10 * z

        assert grad(f)(ho.tensor(3.0)).item() == 6.0
        with ho.no_grad():
            assert grad(f)(ho.tensor(3.0)).item() == 6.0
