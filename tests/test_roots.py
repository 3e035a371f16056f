"""Roots and fixed points: derivatives of every order against unrolled loops and closed forms."""

import math

import numpy as np
import pytest
import scipy.optimize

import hograd as ho
from hograd import func


def contraction(x, w, b):
    return ho.tanh(0.3 * (w @ x) + b)


def data(seed, n=4):
    rng = np.random.default_rng(seed)
    return ho.tensor(rng.normal(size=(n, n))), ho.tensor(rng.normal(size=n))


def unrolled(w, b, steps=120):
    x = ho.zeros(b.shape[0])
    for _ in range(steps):
        x = contraction(x, w, b)
    return x


def implicit(linear_solve):
    return lambda w, b: ho.fixed_point(contraction, ho.zeros(b.shape[0]), w, b, linear_solve=linear_solve)


def by_scipy(matvec, b):
    """A linear solver of the user's own, which no engine can differentiate."""
    n = b.shape[0]
    matrix = np.stack([matvec(ho.tensor(row)).numpy() for row in np.eye(n)], axis=1)
    return ho.tensor(np.linalg.solve(matrix, b.numpy()))


SOLVES = [None, "dense", "gmres", by_scipy]


def close(a, b, rtol=1e-10, atol=1e-10):
    ho.tree.map(lambda x, y: np.testing.assert_allclose(x.detach(), y.detach(), rtol=rtol, atol=atol), a, b)


@pytest.mark.parametrize("linear_solve", SOLVES, ids=["default", "dense", "gmres", "own"])
@pytest.mark.parametrize("seed", range(2))
class TestAgainstTheUnrolledLoop:
    def test_value_and_gradient(self, linear_solve, seed):
        w, b = data(seed)
        c = ho.tensor(np.random.default_rng(seed + 10).normal(size=4))
        f = implicit(linear_solve)
        close(f(w, b), unrolled(w, b))
        found = func.grad(lambda w, b: (f(w, b) * c).sum(), (0, 1))(w, b)
        close(found, func.grad(lambda w, b: (unrolled(w, b) * c).sum(), (0, 1))(w, b))

    def test_forward_mode(self, linear_solve, seed):
        args, directions = data(seed), data(seed + 20)
        found = func.jvp(implicit(linear_solve), args, directions)
        close(found, func.jvp(unrolled, args, directions))

    def test_second_order_in_every_order_of_modes(self, linear_solve, seed):
        w, b = data(seed, 3)
        c = ho.tensor(np.random.default_rng(seed + 10).normal(size=3))
        f = implicit(linear_solve)
        expected = func.hessian(lambda b: (unrolled(w, b) * c).sum())(b)
        loss = lambda b: (f(w, b) * c).sum()  # noqa: E731
        for outer in (func.jacfwd, func.jacrev):
            for inner in (func.jacfwd, func.jacrev):
                close(outer(inner(loss))(b), expected)
        mixed = func.jacrev(func.grad(lambda w, b: (f(w, b) * c).sum()), 1)(w, b)
        close(mixed, func.jacrev(func.grad(lambda w, b: (unrolled(w, b) * c).sum()), 1)(w, b))

    def test_eager_gradients_to_third_order(self, linear_solve, seed):
        w, b = data(seed, 3)

        def derivatives(f):
            s = ho.tensor(0.7, requires_grad=True)
            y = (f(w * s, b * s) ** 2).sum()
            orders = [y]
            for _ in range(3):
                (y,) = ho.grad(y, s, create_graph=True)
                orders.append(y)
            return orders

        close(derivatives(implicit(linear_solve)), derivatives(unrolled), rtol=1e-9)


def test_large_systems_are_solved_by_products():
    n = 400
    rng = np.random.default_rng(0)
    a = ho.tensor(rng.uniform(0.1, 0.4, n))
    found = func.grad(lambda a: ho.fixed_point(lambda x, a: a * ho.cos(x), ho.zeros(n), a).sum())(a)
    x = ho.fixed_point(lambda x, a: a * ho.cos(x), ho.zeros(n), a)
    close(found, ho.cos(x) / (1 + a * ho.sin(x)), rtol=1e-8)


def minimum(linear_solve=None, tolerance=1e-6):
    """The minimiser of a ridge problem, found by SciPy on plain arrays; parameters and solution are trees."""

    def loss(x, data):
        r = data["A"] @ x["w"] + x["c"] - data["b"]
        return (r**2).sum() + data["l2"] * ((x["w"] ** 2).sum() + x["c"] ** 2)

    def solve(guess, data):
        flat, unravel = ho.tree.ravel(guess)
        f = lambda v: loss(unravel(ho.tensor(v)), data).item()  # noqa: E731
        g = lambda v: ho.tree.ravel(func.grad(loss)(unravel(ho.tensor(v)), data))[0].numpy()  # noqa: E731
        answer = scipy.optimize.minimize(f, flat.numpy(), jac=g, method="BFGS", options={"gtol": 1e-11})
        return unravel(ho.tensor(answer.x))

    return loss, ho.custom_root(func.grad(loss), solve, linear_solve=linear_solve, tolerance=tolerance)


@pytest.mark.parametrize("linear_solve", [None, "cg", "minres", "gmres"])
def test_the_minimiser_of_a_ridge_problem(linear_solve):
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(8, 3)), rng.normal(size=8)
    full = np.concatenate([A, np.ones((8, 1))], axis=1)
    _, argmin = minimum(linear_solve)
    guess = {"w": ho.zeros(3), "c": ho.tensor(0.0)}

    def solution(l2):
        data = {"A": ho.tensor(A), "b": ho.tensor(b), "l2": l2}
        x = argmin(guess, data)
        return ho.cat([x["w"], x["c"].reshape(1)])

    def closed(l2):
        return ho.linalg.solve(ho.tensor(full.T @ full) + l2 * ho.eye(4), ho.tensor(full.T @ b))

    l2 = ho.tensor(0.5)
    close(solution(l2), closed(l2), rtol=1e-7)
    close(func.jacrev(solution)(l2), func.jacrev(closed)(l2), rtol=1e-6)
    close(func.jacfwd(func.jacrev(solution))(l2), func.jacfwd(func.jacrev(closed))(l2), rtol=1e-6)


def square_root(tolerance=None):
    def solve(guess, a):
        x = float(guess)
        for _ in range(60):
            x = 0.5 * (x + float(a) / x)
        return x

    return ho.custom_root(lambda x, a: x**2 - a, solve, tolerance=tolerance)


class TestTransforms:
    def test_any_order(self):
        f, a = square_root(), ho.tensor(2.0)
        g, expected = f, ho.sqrt
        for order in range(5):
            value = g(ho.tensor(1.0), a).item() if order == 0 else g(a).item()
            assert value == pytest.approx(expected(a).item(), rel=1e-12)
            g = func.grad((lambda a: f(ho.tensor(1.0), a)) if order == 0 else g)
            expected = func.grad(expected)

    def test_vmap_solves_each_element(self):
        a = ho.tensor([1.0, 2.0, 9.0])
        f = square_root()
        close(ho.vmap(f)(ho.tensor([1.0, 5.0, 0.1]), a), ho.sqrt(a))
        close(ho.vmap(f, in_dims=(None, 0))(ho.tensor(1.0), a), ho.sqrt(a))
        close(ho.vmap(func.grad(lambda a: f(ho.tensor(1.0), a)))(a), 0.5 / ho.sqrt(a))
        close(func.grad(lambda a: ho.vmap(f, in_dims=(None, 0))(ho.tensor(1.0), a).sum())(a), 0.5 / ho.sqrt(a))

    def test_the_guess_has_no_derivative(self):
        guess, a = ho.tensor(1.0, requires_grad=True), ho.tensor(4.0, requires_grad=True)
        y = square_root()(guess, a)
        assert [None if g is None else g.item() for g in ho.grad(y, [guess, a], allow_unused=True)] == [None, 0.25]

    def test_numbers_and_integers_among_the_arguments(self):
        f = ho.custom_root(lambda x, a, n: x**n - a, lambda guess, a, n: float(a) ** (1 / n))
        assert f(None, 8.0, 3).item() == pytest.approx(2.0)
        assert func.grad(lambda a: f(None, a, 3))(ho.tensor(8.0)).item() == pytest.approx(1 / 12)
        h = ho.custom_root(lambda x, a, n: x - a[n], lambda guess, a, n: a[n])
        assert func.grad(lambda a: h(None, a, ho.tensor([2, 0])).sum())(ho.ones(3)).tolist() == [1.0, 0.0, 1.0]

    def test_float32_stays(self):
        a = ho.tensor([2.0, 3.0], dtype=ho.float32)
        f = lambda a: ho.fixed_point(lambda x, a: 0.5 * (x + a / x), ho.ones(2, dtype=ho.float32), a)  # noqa: E731
        x, pull = func.vjp(f, a)
        assert x.dtype == pull(x)[0].dtype == ho.float32
        np.testing.assert_allclose(pull(ho.ones(2, dtype=ho.float32))[0], 0.5 / np.sqrt([2.0, 3.0]), rtol=1e-4)

    def test_constants_record_nothing(self):
        assert not square_root()(ho.tensor(1.0), ho.tensor(4.0)).requires_grad
        a = ho.tensor(4.0, requires_grad=True)
        with ho.no_grad():
            assert not square_root()(ho.tensor(1.0), a).requires_grad

    def test_the_iteration_is_not_on_the_tape(self):
        a = ho.tensor(0.5, requires_grad=True)
        x = ho.fixed_point(lambda x, a: a * ho.cos(x), ho.tensor(1.0), a)
        count, stack = 0, [x.grad_fn]
        while stack:
            count += 1
            stack += [parent for parent, _ in stack.pop().next_functions if parent is not None]
        assert count < 12


class TestErrors:
    def test_not_converged(self):
        with pytest.raises(RuntimeError, match=r"still changes x by .* after maximum_steps=30 steps. Raise"):
            ho.fixed_point(lambda x: 2 * x + 1, ho.tensor(1.0), maximum_steps=30)
        with pytest.raises(ho.errors.ConvergenceError, match="still changes x by"):
            ho.fixed_point(lambda x: -x + 1, ho.tensor(1.0))

    @pytest.mark.parametrize("answer", [2.1, math.nan, math.inf])
    def test_no_solution(self, answer):
        f = ho.custom_root(lambda x, a: x**2 - a, lambda guess, a: answer)
        with pytest.raises(ho.errors.ConvergenceError, match=r"returned no solution: max .* is .*, expected at"):
            f(None, ho.tensor(4.0))

    def test_the_tolerance_is_the_users(self):
        loose = ho.custom_root(lambda x, a: x**2 - a, lambda guess, a: 2.1, tolerance=1.0)
        assert loose(None, ho.tensor(4.0)).item() == 2.1

    def test_singular_derivative(self):
        f = ho.custom_root(lambda x, a: (x - a) ** 2, lambda guess, a: a)
        with pytest.raises(ho.errors.LinearAlgebraError, match="singular"):
            func.grad(lambda a: f(None, a))(ho.tensor(1.0))

    @pytest.mark.parametrize("transform", ["eager", "grad", "jvp", "vmap"])
    def test_closures_are_refused(self, transform):
        def f(a):
            return ho.custom_root(lambda x: x**2 - a, lambda guess: 2.0)(None)

        calls = {
            "eager": lambda: f(ho.tensor(4.0, requires_grad=True)),
            "grad": lambda: func.grad(f)(ho.tensor(4.0)),
            "jvp": lambda: func.jvp(f, (ho.tensor(4.0),), (ho.tensor(1.0),)),
            "vmap": lambda: ho.vmap(f)(ho.tensor([4.0])),
        }
        with pytest.raises(ValueError, match="uses a tensor that is being differentiated or mapped"):
            calls[transform]()

    def test_closures_are_constants_under_no_grad(self):
        a = ho.tensor(4.0, requires_grad=True)
        with ho.no_grad():
            assert ho.custom_root(lambda x: x**2 - a, lambda guess: 2.0)(None).item() == 2.0

    def test_shapes(self):
        with pytest.raises(ValueError, match="gives 1 numbers, but the solution has 2"):
            ho.custom_root(lambda x: x.sum(), lambda guess: ho.zeros(2))(None)
        with pytest.raises(ValueError, match=r"\(x\) has shape \(1, 2\), expected \(2,\), that of guess"):
            ho.fixed_point(lambda x: x.reshape(1, 2), ho.zeros(2))
        with pytest.raises(ValueError, match="differs in structure"):
            ho.fixed_point(lambda x: x["a"], {"a": ho.zeros(2)})
        with pytest.raises(TypeError, match="expected floating tensors"):
            ho.custom_root(lambda x: x, lambda guess: ho.tensor([0, 0]))(None)

    def test_unknown_linear_solve(self):
        with pytest.raises(ValueError, match="linear_solve is 'lu', expected one of 'dense', 'cg'"):
            ho.custom_root(lambda x: x, lambda guess: guess, linear_solve="lu")
