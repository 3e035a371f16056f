"""Linear solvers by themselves: what they raise and what they say where a system has no good answer."""

import numpy as np
import pytest

from hograd.errors import LinearAlgebraError
from optim.hyper.solvers import CG, GMRES, MINRES, Dense, FixedPoint, Neumann, NormalCG, Nystrom

RNG = np.random.default_rng(4)
BASIS = np.linalg.qr(RNG.normal(size=(12, 12)))[0]


def solve(solver, matrix, b):
    return solver.solve(lambda v: matrix @ v, lambda v: matrix.T @ v, b, np.zeros(len(b)))


SINGULAR = np.outer(BASIS[0], BASIS[0])  # eleven directions of twelve have no curvature at all


@pytest.mark.parametrize("solver", [Dense(), NormalCG(), MINRES(), GMRES()], ids=lambda s: type(s).__name__)
def test_a_right_side_that_is_out_of_reach_raises(solver):
    with pytest.raises(LinearAlgebraError, match="singular|hardly better than the answer 0"):
        solve(solver, SINGULAR, BASIS[1] + 0.01 * BASIS[0])


@pytest.mark.parametrize("solver", [MINRES(), GMRES(), MINRES(steps=40), GMRES(steps=40)], ids=repr)
def test_a_solution_that_rounding_makes_raises(solver):
    with pytest.raises(LinearAlgebraError, match="the matrix is singular but for rounding"):
        solve(solver, SINGULAR, BASIS[0] + 0.1 * BASIS[1])


def test_the_normal_equations_find_what_is_in_reach_and_say_what_is_not():
    found = solve(NormalCG(), SINGULAR, BASIS[0] + 0.1 * BASIS[1])
    np.testing.assert_allclose(found.x, BASIS[0], atol=1e-12)
    assert not found.converged
    assert found.residual == pytest.approx(0.1 / np.sqrt(1.01))


@pytest.mark.parametrize("solver", [CG(), NormalCG(), MINRES(), GMRES()], ids=lambda s: type(s).__name__)
def test_a_singular_system_whose_right_side_is_in_reach_has_its_shortest_solution(solver):
    found = solve(solver, SINGULAR, 3 * BASIS[0])
    np.testing.assert_allclose(found.x, 3 * BASIS[0], atol=1e-12)
    assert found.converged


@pytest.mark.parametrize("least", [1e-15, 1e-16, 1e-17, 0.0])
def test_a_matrix_that_rounding_alone_keeps_from_being_singular_raises(least):
    nearly = (BASIS * np.r_[np.ones(11), least]) @ BASIS.T
    with pytest.raises(LinearAlgebraError, match="the matrix is singular"):
        solve(Dense(), nearly, BASIS.sum(1))


def test_columns_that_miss_most_of_the_curvature_say_so():
    matrix = (BASIS * np.geomspace(0.1, 1, 12)) @ BASIS.T
    b = RNG.normal(size=12)
    found = solve(Nystrom(3, damping=1e-3), matrix, b)
    assert not found.converged
    assert found.residual > 10
    assert solve(Nystrom(3, damping=10.0), matrix, b).residual < 1
    assert solve(Nystrom(12, damping=1e-3), matrix, b).residual < 0.02


def test_iterations_in_single_precision_end_where_rounding_begins():
    matrix = ((BASIS * np.geomspace(0.1, 1, 12)) @ BASIS.T).astype(np.float32)
    b = RNG.normal(size=12).astype(np.float32)
    for solver in (CG(), NormalCG(), MINRES(), GMRES()):
        count = []

        def product(v, count=count):
            count.append(1)
            return matrix @ v

        found = solver.solve(product, lambda v: matrix.T @ v, b, np.zeros_like(b))
        assert found.converged
        assert found.residual < 5e-7
        assert len(count) < 60


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
def test_the_factorisation_says_how_good_it_is(condition):
    matrix = (BASIS * np.geomspace(1 / condition, 1, 12)) @ BASIS.T
    x = RNG.normal(size=12)
    found = solve(Dense(), matrix, matrix @ x)
    assert found.converged
    assert np.linalg.norm(found.x - x) < 1e-14 * condition * np.linalg.norm(x)


def test_single_precision_is_kept_and_converges():
    matrix = ((BASIS * np.geomspace(0.1, 1, 12)) @ BASIS.T).astype(np.float32)
    b = RNG.normal(size=12).astype(np.float32)
    exact = np.linalg.solve(matrix.astype(np.float64), b)
    solvers = [Dense(), CG(tolerance=1e-6), NormalCG(tolerance=1e-6), MINRES(tolerance=1e-6), GMRES(tolerance=1e-6)]
    for solver in (*solvers, Neumann(200, 1.0), FixedPoint(200), Nystrom(12, 1e-5)):
        found = solver.solve(lambda v: matrix @ v, lambda v: matrix.T @ v, b, np.zeros_like(b))
        assert found.x.dtype == np.float32
        assert found.converged
        np.testing.assert_allclose(found.x, exact, rtol=1e-3, atol=1e-3 * np.abs(exact).max())
