"""Solutions of systems that are given by a product: against dense ones, in every mode and to order three."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.check import gradcheck
from hograd.linalg import solve, solve_matvec


@pytest.fixture
def random():
    return np.random.default_rng(11)


def general(random, *batch):
    return ho.tensor(random.normal(size=(*batch, 4, 4)) + 4 * np.eye(4))


def symmetric(random, *batch):
    half = random.normal(size=(*batch, 4, 4))
    return ho.tensor(half @ half.swapaxes(-1, -2) + np.eye(4))


def indefinite(random, *batch):
    return symmetric(random, *batch) - 6 * ho.eye(4)


KINDS = {"gmres": general, "cg": symmetric, "minres": indefinite}


def close(found, expected, tolerance=1e-8):
    for y, e in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
        assert y.shape == e.shape
        np.testing.assert_allclose(y.detach().numpy(), e.detach().numpy(), rtol=tolerance, atol=tolerance)


def product(x, a):
    return a @ x


def by_product(method):
    # The half of a matrix that counts is symmetrized, so that its derivative is the same in both ways.
    def solution(a, b):
        return solve_matvec(product, b, whole(method, a), method=method, rtol=1e-13)

    return solution


def whole(method, a):
    return a if method == "gmres" else (a + a.mT) / 2


def dense(method):
    return lambda a, b: solve(whole(method, a), b)


@pytest.mark.parametrize("method", KINDS)
def test_values_and_derivatives_are_those_of_the_dense_system(random, method):
    a, b, c = KINDS[method](random), ho.tensor(random.normal(size=4)), ho.tensor(random.normal(size=4))
    found, expected = by_product(method), dense(method)
    close(found(a, b), expected(a, b))
    tangents = (ho.tensor(random.normal(size=(4, 4))), ho.tensor(random.normal(size=4)))
    close(func.jvp(found, (a, b), tangents), func.jvp(expected, (a, b), tangents))

    def loss(solution):
        return lambda a, b: (solution(a, b) ** 2 * c).sum()

    for transform in (
        lambda f: func.grad(f, argnums=(0, 1)),
        lambda f: func.hessian(f),
        lambda f: lambda a, b: func.hvp(lambda a: f(a, b), a, tangents[0]),
        lambda f: func.grad(lambda a, b: func.jvp(f, (a, b), tangents)[1], argnums=(0, 1)),
    ):
        close(transform(loss(found))(a, b), transform(loss(expected))(a, b), 1e-7)


@pytest.mark.parametrize("method", KINDS)
def test_derivatives_to_order_three_are_the_numerical_ones(random, method):
    a, b = KINDS[method](random), ho.tensor(random.normal(size=4))
    assert gradcheck(by_product(method), (a, b), order=3, directions=2)


def test_the_eager_tape_to_order_three(random):
    a = general(random).requires_grad_()
    b = ho.tensor(random.normal(size=4), requires_grad=True)
    results = []
    for solution in (by_product("gmres"), dense("gmres")):
        gradients = [(solution(a, b) ** 3).sum()]
        for _ in range(3):
            (g,) = ho.grad(gradients[-1], [a], create_graph=True)
            gradients.append((g * g).sum())
        results.append([*gradients, *ho.grad(gradients[-1], [a, b])])
    close(results[0], results[1], 1e-6)


@pytest.mark.parametrize("method", KINDS)
def test_vmap_inside_and_outside_of_derivatives(random, method):
    a, b = KINDS[method](random, 3), ho.tensor(random.normal(size=(3, 4)))
    found, expected = by_product(method), dense(method)
    close(func.vmap(found)(a, b), expected(a, b[..., None])[..., 0])
    close(func.vmap(found, in_dims=(None, 0))(a[0], b), func.vmap(expected, in_dims=(None, 0))(a[0], b))

    def loss(solution):
        return lambda a, b: (solution(a, b) ** 2).sum()

    gradient = func.vmap(func.grad(loss(expected), argnums=(0, 1)))(a, b)
    close(func.vmap(func.grad(loss(found), argnums=(0, 1)))(a, b), gradient)
    close(func.grad(lambda a, b: func.vmap(loss(found))(a, b).sum(), argnums=(0, 1))(a, b), gradient)
    close(func.vmap(func.hessian(loss(found)))(a, b), func.vmap(func.hessian(loss(expected)))(a, b), 1e-7)
    nested = func.hessian(lambda b: func.vmap(loss(found), in_dims=(None, 0))(a[0], b).sum())(b)
    close(nested, func.hessian(lambda b: func.vmap(loss(expected), in_dims=(None, 0))(a[0], b).sum())(b), 1e-7)


def test_trees_and_products_that_are_derivatives_themselves(random):
    x = ho.tensor(random.normal(size=(6, 2)))
    t = ho.tensor(random.normal(size=6))
    params = {"w": ho.tensor(random.normal(size=2)), "b": ho.tensor(0.3)}
    right = {"w": ho.tensor([1.0, -2.0]), "b": ho.tensor(0.5)}

    def energy(params, damping):
        y = ho.tanh(x @ params["w"] + params["b"])
        return ((y - t) ** 2).sum() + damping * (params["w"] ** 2).sum() + damping * params["b"] ** 2

    def damped(v, params, damping):
        return func.hvp(lambda p: energy(p, damping), params, v)

    def by_products(params, damping):
        return solve_matvec(damped, right, params, damping, method="cg", rtol=1e-13)

    def by_matrix(params, damping):
        flat, unravel = ho.tree.ravel(params)
        matrix = func.hessian(lambda p: energy(unravel(p), damping))(flat)
        return unravel(solve(matrix, ho.tree.ravel(right)[0]))

    damping = ho.tensor(20.0)
    close(by_products(params, damping), by_matrix(params, damping))

    def total(f):
        return lambda params, damping: sum((leaf**2).sum() for leaf in ho.tree.leaves(f(params, damping)))

    for transform in (func.grad, lambda f: func.grad(lambda p, d: func.grad(f, argnums=1)(p, d))):
        close(transform(total(by_products))(params, damping), transform(total(by_matrix))(params, damping), 1e-7)


def test_numbers_and_other_settings_among_the_arguments(random):
    a, b = general(random), ho.tensor(random.normal(size=4))
    y = solve_matvec(lambda x, a, shift, flag: (a @ x + shift * x) if flag else x, b, a.numpy(), 2.0, True)
    close(y, solve(a + 2 * ho.eye(4), b))


def test_a_good_start_needs_no_products(random):
    a, b = general(random), ho.tensor(random.normal(size=4), requires_grad=True)
    counted = []

    def counting(x, a):
        counted.append(1)
        return a @ x

    x = solve_matvec(counting, b, a)
    without = len(counted)
    close(solve_matvec(counting, b, a, x0=x), x)
    assert len(counted) - without < without
    (g,) = ho.grad(solve_matvec(counting, b, a, x0=x * 2).sum(), b)
    close(g, solve(a.mT, ho.ones(4)))


def test_float32_stays_float32(random):
    a, b = general(random).float(), ho.tensor(random.normal(size=4)).float()
    for method in ("gmres", "minres", "cg"):
        f = lambda a, b, method=method: solve_matvec(product, b, a @ a.mT, method=method)  # noqa: E731
        assert f(a, b).dtype == np.float32
        assert all(g.dtype == np.float32 for g in func.grad(lambda a, b: f(a, b).sum(), argnums=(0, 1))(a, b))  # noqa: B023
        assert func.jvp(f, (a, b), (a, b))[1].dtype == np.float32


def test_no_unknowns():
    assert solve_matvec(lambda x: x, ho.zeros(0)).shape == (0,)


def test_a_tensor_that_is_closed_over_must_be_constant(random):
    a, b = general(random), ho.tensor(random.normal(size=4))
    close(solve_matvec(lambda x: a @ x, b), solve(a, b))
    tracked = a.clone().requires_grad_()
    for call in (
        lambda: solve_matvec(lambda x: tracked @ x, b),
        lambda: func.grad(lambda a: solve_matvec(lambda x: a @ x, b).sum())(a),
        lambda: func.jvp(lambda a: solve_matvec(lambda x: a @ x, b), (a,), (a,)),
        lambda: func.vmap(lambda a: solve_matvec(lambda x: a @ x, b))(ho.stack([a, a])),
    ):
        with pytest.raises(ho.errors.ArgumentError, match="pass it to solve_matvec after b"):
            call()
    with ho.no_grad():
        close(solve_matvec(lambda x: a @ x, b.requires_grad_()), solve(a, b))


def test_an_iteration_that_does_not_converge_says_so(random):
    a, b = general(random), ho.tensor(random.normal(size=4))
    with pytest.raises(ho.errors.LinearAlgebraError, match=r"gmres with product did not converge in 2 iterations"):
        solve_matvec(product, b, a, max_iterations=2)
    with pytest.raises(ho.errors.LinearAlgebraError, match=r"residual is .* of b, expected 1\.0e-10"):
        solve_matvec(lambda x: ho.zeros(4) * x, b, method="cg")
    # The right side lies in the range of this matrix, and the cotangent not in that of its transpose.
    c = ho.tensor([[1.0, 0.0], [0.0, 0.0]])
    gradient = func.grad(lambda b: solve_matvec(product, b, c)[1])
    with pytest.raises(ho.errors.LinearAlgebraError, match="the adjoint of product"):
        gradient(ho.tensor([1.0, 0.0]))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: solve_matvec(product, [1.0], method="lu"), ho.errors.ArgumentError, "method='lu'"),
        (lambda: solve_matvec(lambda x: x[:2], ho.ones(3)), ho.errors.ShapeError, r"has shape \(2,\), expected \(3,\)"),
        (lambda: solve_matvec(lambda x: (x, x), ho.ones(3)), ho.errors.StructureError, "solve_matvec: "),
        (lambda: solve_matvec(lambda x: x, ho.ones(3), x0=ho.ones(2)), ho.errors.ShapeError, "x0 has shape"),
        (lambda: solve_matvec(lambda x: x, ho.tensor([1, 2])), ho.errors.ArgumentError, "dtype int64"),
    ],
)
def test_errors_say_what_was_found_and_expected(call, error, text):
    with pytest.raises(error, match=text):
        call()
