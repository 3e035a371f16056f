"""Implicit hypergradients: every solver against closed forms, then against converged training."""

import warnings

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, ConvergenceError, ConvergenceWarning, LinearAlgebraError, ShapeError
from optim import SGD, Adam
from optim.hyper import (
    CG,
    DARTS,
    GMRES,
    MINRES,
    Bilevel,
    Dense,
    FixedPoint,
    Identity,
    Implicit,
    Neumann,
    NormalCG,
    Nystrom,
    Reverse,
    hypergradient,
)


class Quadratic:
    """f = w.Hw/2 - w.(B a + c) ;  E = |C w - d|^2/2 + |a|^2/2 ;  the eigenvalues of H lie in [1 / condition, 1]."""

    def __init__(self, condition, n=100, seed=0):
        random = np.random.default_rng(seed)
        basis = np.linalg.qr(random.normal(size=(n, n)))[0]
        H = (basis * np.geomspace(1 / condition, 1, n)) @ basis.T
        self.H = (H + H.T) / 2
        self.B, self.C = random.normal(size=(n, n)), random.normal(size=(n, n)) / 10
        self.c, self.d, self.outer = random.normal(size=(3, n))
        H, B, C, c, d = map(ho.tensor, (self.H, self.B, self.C, self.c, self.d))
        self.problem = Bilevel(
            lambda w, a: 0.5 * w @ (H @ w) - w @ (B @ a + c),
            lambda w, a: 0.5 * ((C @ w - d) ** 2).sum() + 0.5 * (a**2).sum(),
            init=ho.zeros(n),
            optimizer=SGD(lr=1.0),
        )
        w = self.solve(None, self.outer)
        self.right = self.C.T @ (self.C @ w - self.d)
        self.adjoint = np.linalg.solve(self.H, self.right)
        self.exact = self.B.T @ self.adjoint + self.outer

    def solve(self, _, outer):
        return np.linalg.solve(self.H, self.B @ np.asarray(outer) + self.c)

    def __call__(self, solver, **options):
        return hypergradient(self.problem, ho.tensor(self.outer), Implicit(solver, solve=self.solve, **options))

    def error(self, found):
        return np.linalg.norm(found.hypergrad.numpy() - self.exact) / np.linalg.norm(self.exact)


EXACT = {
    "dense": Dense(),
    "cg": CG(tolerance=1e-13),
    "normal": NormalCG(tolerance=1e-13),
    "minres": MINRES(tolerance=1e-11),
    "gmres": GMRES(tolerance=1e-12),
}


# The normal equations square the condition: at 1e4 they would need some 1e5 products.
@pytest.mark.parametrize(
    ("solver", "condition"), [(s, c) for s in EXACT for c in (1e1, 1e2, 1e4) if s != "normal" or c < 1e3]
)
def test_exact_solvers_give_the_closed_form(solver, condition):
    quadratic = Quadratic(condition)
    found = quadratic(EXACT[solver])
    assert quadratic.error(found) < 1e-10
    assert found.info.converged
    assert found.info.residual < 2e-11
    assert found.info.hessian_products > 1
    assert found.info.inner_residual < 1e-9


@pytest.mark.parametrize("k", [0, 1, 5, 40])
def test_neumann_and_fixed_point_are_within_their_rates(k):
    quadratic = Quadratic(10.0)
    shrink = 1 - 0.1
    found = quadratic(Neumann(steps=k, lr=1.0))
    size = np.linalg.norm(quadratic.adjoint)
    error = np.linalg.norm(found.info.warm_start.numpy() - quadratic.adjoint)
    assert error <= shrink ** (k + 1) * size * (1 + 1e-12)
    assert error > 0.2 * shrink ** (k + 1) * size * min(1.0, 5 * 0.1)
    assert found.info.hessian_products == k + 1
    # The step of gradient descent with rate 1 contracts by as much, and its iteration is the same series.
    started = Bilevel(
        quadratic.problem.inner_loss,
        quadratic.problem.outer_loss,
        init=ho.tensor(quadratic.solve(None, quadratic.outer)),
        optimizer=SGD(lr=1.0),
    )
    iterated = hypergradient(started, ho.tensor(quadratic.outer), Implicit(FixedPoint(k + 1), steps=0))
    np.testing.assert_allclose(iterated.hypergrad.numpy(), found.hypergrad.numpy(), rtol=1e-9)
    assert iterated.info.hessian_products == k + 1


@pytest.mark.parametrize("k", [1, 2, 5, 10, 20])
@pytest.mark.parametrize("condition", [10.0, 1e3])
def test_conjugate_gradients_stay_below_their_bound(k, condition):
    quadratic = Quadratic(condition)
    found = quadratic(CG(steps=k))
    error = found.info.warm_start.numpy() - quadratic.adjoint
    root = np.sqrt(condition)
    bound = 2 * ((root - 1) / (root + 1)) ** k * np.sqrt(quadratic.adjoint @ quadratic.H @ quadratic.adjoint)
    assert np.sqrt(error @ quadratic.H @ error) <= bound
    assert found.info.hessian_products == k + 1
    assert not found.info.converged or found.info.residual <= 1e-10


def test_damping_identity_and_nystrom_are_what_they_say():
    quadratic = Quadratic(10.0, n=20)
    damped = np.linalg.solve(quadratic.H + 0.3 * np.eye(20), quadratic.right)
    for solver in (CG(damping=0.3), GMRES(damping=0.3), MINRES(damping=0.3), NormalCG(damping=0.3), Nystrom(20, 0.3)):
        np.testing.assert_allclose(quadratic(solver).info.warm_start.numpy(), damped, rtol=1e-7)
    np.testing.assert_allclose(quadratic(Nystrom(20, 1e-12)).hypergrad.numpy(), quadratic.exact, rtol=1e-9)
    identity = quadratic(Identity(lr=0.5))
    np.testing.assert_allclose(
        identity.hypergrad.numpy(), 0.5 * quadratic.B.T @ quadratic.right + quadratic.outer, rtol=1e-12
    )
    assert identity.info.residual is None
    assert identity.info.hessian_products == 1


def test_nystrom_is_exact_for_a_hessian_of_low_rank():
    random = np.random.default_rng(2)
    half = random.normal(size=(30, 4))
    low, b = half @ half.T, random.normal(size=30)
    found = Nystrom(rank=4, damping=0.1).solve(lambda v: low @ v, lambda v: low @ v, b, np.zeros(30))
    np.testing.assert_allclose(found.x, np.linalg.solve(low + 0.1 * np.eye(30), b), rtol=1e-8)


ALL = {**EXACT, "neumann": Neumann(400, 1.0), "nystrom": Nystrom(1, 1e-12)}


@pytest.mark.parametrize("solver", ALL)
def test_an_inner_problem_of_shape_zero(solver):
    problem = Bilevel(
        lambda w, a: 0.5 * a * (w - 2) ** 2 + 0.1 * w**2, lambda w, a: w**2, ho.tensor(0.0), optimizer=SGD(lr=0.5)
    )
    _, found, info = hypergradient(problem, ho.tensor(0.8), Implicit(ALL[solver], steps=200))
    w, slope = 1.6, 0.4  # w = 2a / (a + 0.2) ;  dw/da = 0.4 / (a + 0.2)^2
    assert float(found) == pytest.approx(2 * w * slope, rel=1e-10)
    assert info.params.shape == info.warm_start.shape == ()


@pytest.mark.parametrize("solver", ALL)
def test_a_right_side_of_zero_costs_no_product(solver):
    problem = Bilevel(
        lambda w, a: ((w - a) ** 2).sum(), lambda w, a: (a**2).sum() + 0 * w.sum(), ho.ones(2), optimizer=SGD(lr=0.5)
    )
    _, found, info = hypergradient(problem, ho.tensor([1.0, -2.0]), Implicit(ALL[solver], steps=2))
    assert found.numpy().tolist() == [2.0, -4.0]
    assert (info.hessian_products, info.residual, info.converged) == (1, 0.0, True)


@pytest.mark.parametrize("solver", ["dense", "gmres", "normal", "fixed point"])
def test_an_equation_whose_jacobian_is_not_symmetric(solver):
    random = np.random.default_rng(5)
    M = random.normal(size=(6, 6)) * 0.15
    a, v = random.normal(size=6), random.normal(size=6)
    T, V = ho.tensor(M), ho.tensor(v)
    solvers = {**EXACT, "fixed point": FixedPoint(steps=300)}

    def equation(w, outer):  # w = tanh(M w + outer), an equilibrium layer
        return w - ho.tanh(T @ w + outer)

    def solve(w, outer):
        for _ in range(300):
            w = np.tanh(M @ np.asarray(w) + outer.numpy())
        return w

    problem = Bilevel(lambda w, outer: 0 * w.sum(), lambda w, outer: (w**2 * V).sum(), init=ho.zeros(6))
    method = Implicit(solvers[solver], solve=solve, equation=equation)
    found = hypergradient(problem, ho.tensor(a), method)
    w = found.info.params.numpy()
    bend = np.diag(1 - w**2)
    exact = bend @ np.linalg.solve((np.eye(6) - bend @ M).T, 2 * w * v)
    np.testing.assert_allclose(found.hypergrad.numpy(), exact, rtol=1e-9)
    second = ho.func.grad(lambda o: (hypergradient(problem, o, method).hypergrad ** 2).sum())(ho.tensor(a))
    step = 1e-5 * random.normal(size=6)
    both = [(hypergradient(problem, ho.tensor(a + s), method).hypergrad ** 2).sum() for s in (step, -step)]
    assert float((second * ho.tensor(step)).sum()) == pytest.approx(float(both[0] - both[1]) / 2, rel=1e-6)


RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(40, 5)), RNG.normal(size=40)
TEST_X, TEST_Y = RNG.normal(size=(30, 5)), RNG.normal(size=30)


def ridge(w, l2):
    return 0.5 * ((ho.tensor(X) @ w - ho.tensor(Y)) ** 2).mean() + 0.5 * (l2 * w**2).sum()


def logistic(w, l2):
    return ho.binary_cross_entropy_with_logits(ho.tensor(X) @ w, ho.tensor((Y > 0) * 1.0)) + 0.5 * (l2 * w**2).sum()


def held_out(w, l2):
    return ((ho.tensor(TEST_X) @ w - ho.tensor(TEST_Y)) ** 2).mean()


PENALTY = ho.tensor(np.linspace(0.2, 1.0, 5))
GRADIENT_METHODS = {
    "dense": Implicit(Dense(), steps=1000),
    "cg": Implicit(CG(tolerance=1e-12), steps=1000),
    "minres": Implicit(MINRES(tolerance=1e-11), steps=1000),
    "gmres": Implicit(GMRES(tolerance=1e-12), steps=1000),
    "neumann": Implicit(Neumann(1000, lr=0.3), steps=1000),
    "fixed point": Implicit(FixedPoint(1000), steps=1000),
}


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_ridge_regression_in_closed_form(name):
    problem = Bilevel(ridge, held_out, ho.zeros(5), optimizer=SGD(lr=0.3, momentum=0.3))
    value, found, info = hypergradient(problem, PENALTY, GRADIENT_METHODS[name])
    H = X.T @ X / 40 + np.diag(PENALTY.numpy())
    w = np.linalg.solve(H, X.T @ Y / 40)
    left = TEST_X @ w - TEST_Y
    exact = -w * np.linalg.solve(H, 2 * TEST_X.T @ left / 30)
    assert float(value) == pytest.approx((left**2).mean(), rel=1e-10)
    np.testing.assert_allclose(found.numpy(), exact, rtol=1e-8)
    assert info.inner_residual < 1e-12


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_logistic_regression_equals_converged_training(name):
    problem = Bilevel(logistic, held_out, ho.zeros(5), optimizer=SGD(lr=0.5, momentum=0.3))
    exact = hypergradient(problem, PENALTY, Reverse(300))
    found = hypergradient(problem, PENALTY, GRADIENT_METHODS[name])
    np.testing.assert_allclose(found.hypergrad.numpy(), exact.hypergrad.numpy(), rtol=1e-8)


def test_differentiable_again_in_both_modes_and_mapped():
    problem = Bilevel(logistic, held_out, ho.zeros(5), optimizer=SGD(lr=0.5, momentum=0.3))
    direction = ho.tensor(RNG.normal(size=5))

    def along(method):
        return lambda l2: (hypergradient(problem, l2, method).hypergrad * direction).sum()

    exact = ho.func.grad(along(Reverse(200)))(PENALTY).numpy()
    for solver in (Dense(), CG(tolerance=1e-13), GMRES(tolerance=1e-13)):
        slope = along(Implicit(solver, steps=300))
        np.testing.assert_allclose(ho.func.grad(slope)(PENALTY).numpy(), exact, rtol=1e-8)
        forward = ho.func.jvp(slope, (PENALTY,), (direction,))[1]
        assert float(forward) == pytest.approx(float(exact @ direction.numpy()), rel=1e-8)
    method = Implicit(CG(tolerance=1e-13), steps=300)
    both = ho.stack([PENALTY, PENALTY * 2])
    mapped = ho.func.vmap(lambda l2: hypergradient(problem, l2, method).hypergrad)(both)
    for row, l2 in zip(mapped, both, strict=True):
        np.testing.assert_allclose(row.numpy(), hypergradient(problem, l2, method).hypergrad.numpy(), rtol=1e-12)


def test_a_step_of_an_optimizer_with_state_as_the_equation():
    problem = Bilevel(ridge, held_out, ho.zeros(5), optimizer=SGD(lr=0.2, momentum=0.6))
    exact = hypergradient(problem, PENALTY, Implicit(Dense(), steps=400)).hypergrad.numpy()
    for solver in (Dense(), GMRES(tolerance=1e-12), FixedPoint(400)):
        found = hypergradient(problem, PENALTY, Implicit(solver, steps=400, equation="step")).hypergrad.numpy()
        np.testing.assert_allclose(found, exact, rtol=1e-8)


def test_what_only_steers_the_way_has_no_derivative():
    problem = Bilevel(
        lambda w, o: ((w - o["aim"]) ** 2).sum(),
        lambda w, o: (w**2).sum(),
        ho.zeros(2),
        optimizer=lambda o: SGD(lr=o["lr"]),
    )
    found = hypergradient(problem, {"aim": ho.tensor([1.0, 2.0]), "lr": 0.3}, Implicit(CG(), steps=100)).hypergrad
    assert float(found["lr"]) == 0
    np.testing.assert_allclose(found["aim"].numpy(), [2.0, 4.0], rtol=1e-12)


def test_a_warm_start_saves_products():
    quadratic = Quadratic(100.0)
    cold = quadratic(CG())
    warm = quadratic(CG(), warm_start=cold.info.warm_start)
    assert warm.info.hessian_products <= 3 < cold.info.hessian_products
    assert quadratic.error(warm) < 1e-8
    start, errors = None, []
    for _ in range(3):
        found = quadratic(Neumann(5, 1.0), warm_start=start)
        start = found.info.warm_start
        errors.append(quadratic.error(found))
    assert errors[2] < errors[1] < errors[0]
    with pytest.raises(ShapeError, match="warm_start has 3 numbers, expected 100"):
        quadratic(CG(), warm_start=ho.ones(3))


def test_a_solve_that_fails_says_so():
    quadratic = Quadratic(1e4)
    with pytest.warns(ConvergenceWarning, match="left a residual of"):
        found = quadratic(NormalCG())
    assert not found.info.converged
    assert found.info.residual > 1e-10
    # A number of steps that was asked for is not a failure.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not quadratic(CG(steps=3)).info.converged


def test_an_answer_that_means_nothing_raises():
    saddle = Bilevel(
        lambda w, a: w[0] ** 2 - w[1] ** 2 + (a * w).sum(), lambda w, a: w.sum(), ho.zeros(2), optimizer=SGD()
    )
    with pytest.raises(LinearAlgebraError, match="CG met a direction of curvature"):
        hypergradient(saddle, ho.ones(2), Implicit(CG(), steps=0))
    np.testing.assert_allclose(
        hypergradient(saddle, ho.ones(2), Implicit(MINRES(), steps=0)).hypergrad.numpy(), [-0.5, 0.5]
    )
    flat = Bilevel(lambda w, a: (a * w).sum() + w[0] ** 2, lambda w, a: w.sum(), ho.zeros(2), optimizer=SGD())
    with pytest.raises(LinearAlgebraError, match="singular, so the inner solution is not isolated"):
        hypergradient(flat, ho.ones(2), Implicit(Dense(), steps=0))
    quadratic = Quadratic(10.0)
    with pytest.raises(LinearAlgebraError, match="the Neumann series diverges"):
        quadratic(Neumann(20, lr=4.0))
    with pytest.raises(ConvergenceError, match="The inner training diverges: from step 0"):
        hypergradient(quadratic.problem, ho.ones(100) * np.inf, Implicit(CG(), steps=1))


def test_trees_and_single_precision():
    problem = Bilevel(
        lambda p, o: ((p["a"] - o["x"]) ** 2).sum() + (p["b"] * o["y"] - 1) ** 2 + 0.1 * p["b"] * p["a"].sum(),
        lambda p, o: (p["a"] ** 2).sum() + p["b"] ** 2,
        {"a": ho.zeros(2, dtype=np.float32), "b": ho.tensor(0.0, dtype=np.float32)},
        optimizer=Adam(lr=0.05),
    )
    outer = {"x": ho.ones(2, dtype=np.float32), "y": ho.tensor(0.9, dtype=np.float32)}
    found = hypergradient(problem, outer, Implicit(CG(tolerance=1e-6), steps=500)).hypergrad
    assert all(g.dtype == np.float32 for g in ho.tree.leaves(found))
    exact = hypergradient(
        problem,
        ho.tree.map(lambda x: x.double(), outer),
        Implicit(Dense(), steps=500),
    ).hypergrad
    for g, e in zip(ho.tree.leaves(found), ho.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(g.numpy(), e.numpy(), rtol=1e-3)


def test_one_step_by_differences():
    quadratic = Quadratic(10.0, n=8)
    outer, rate = quadratic.outer, 0.4
    w = RNG.normal(size=8)
    problem = Bilevel(quadratic.problem.inner_loss, quadratic.problem.outer_loss, ho.tensor(w), optimizer=SGD(lr=rate))
    value, found, info = hypergradient(problem, ho.tensor(outer), DARTS(lr=rate))
    ahead = w - rate * (quadratic.H @ w - quadratic.B @ outer - quadratic.c)
    exact = rate * quadratic.B.T @ quadratic.C.T @ (quadratic.C @ ahead - quadratic.d) + outer
    np.testing.assert_allclose(found.numpy(), exact, rtol=1e-8)
    reverse = hypergradient(problem, ho.tensor(outer), Reverse(1))
    np.testing.assert_allclose(found.numpy(), reverse.hypergrad.numpy(), rtol=1e-8)
    assert float(value) == float(reverse.value)
    assert info.params.numpy().tolist() == w.tolist()
    first_order = hypergradient(problem, ho.tensor(outer), DARTS(lr=0.0)).hypergrad
    assert first_order.numpy().tolist() == outer.tolist()
    bent = Bilevel(lambda w, a: (a * ho.exp(w)).sum(), lambda w, a: (w**3).sum(), ho.tensor(w), optimizer=SGD(lr=rate))
    errors = []
    for radius in (0.02, 0.01):
        approximate = hypergradient(bent, ho.tensor(outer), DARTS(lr=rate, radius=radius)).hypergrad
        exact = hypergradient(bent, ho.tensor(outer), Reverse(1)).hypergrad
        errors.append(float(((approximate - exact) ** 2).sum()) ** 0.5)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.01)
    still = Bilevel(lambda w, a: (a * w).sum(), lambda w, a: 0 * w.sum(), ho.ones(2), optimizer=SGD())
    assert hypergradient(still, ho.ones(2), DARTS(lr=0.1)).hypergrad.numpy().tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Implicit(CG()), "pass either `steps`"),
        (lambda: Implicit(CG(), steps=1, solve=lambda w, o: w), "pass either `steps`"),
        (lambda: Implicit(CG(), steps=-1), "Implicit: steps is -1"),
        (lambda: Implicit(CG(), steps=1, equation="root"), "equation is 'root', expected 'gradient' or 'step'"),
        (lambda: Implicit(FixedPoint(3), solve=lambda w, o: w), "it goes with `steps`"),
        (lambda: CG(tolerance=-1.0), "CG: tolerance is -1.0"),
        (lambda: GMRES(steps=1.5), "GMRES: steps is 1.5"),
        (lambda: Neumann(3, lr=0.0), "Neumann: lr is 0.0"),
        (lambda: Nystrom(rank=0), "Nystrom: rank is 0, expected a whole number of at least 1"),
        (lambda: DARTS(lr=0.1, radius=0.0), "DARTS: radius is 0.0"),
    ],
)
def test_errors_say_what_was_found_and_expected(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()


@pytest.mark.parametrize(
    ("inner", "steps", "fine"),
    [
        (lambda w, a: (w - 2) ** 2 + a * w**2, 50, True),
        (lambda w, a: (w - 2) ** 2 + a * w**2, 1, False),
        (lambda w, a: a * ho.exp(-w), 50, False),
        (lambda w, a: 1e-9 * ((w - 2) ** 2 + a * w**2), 50, False),
    ],
    ids=["trained", "untrained", "no solution", "untrained, small loss"],
)
def test_a_point_that_is_no_solution_is_warned_of(inner, steps, fine):
    problem = Bilevel(inner, lambda w, a: w**2, ho.tensor(0.1), optimizer=SGD(lr=0.1))

    def found():
        return hypergradient(problem, ho.tensor(1.0), Implicit(CG(), steps=steps)).info

    if fine:
        assert found().converged
        return
    with pytest.warns(ConvergenceWarning, match="the inner solution does not fulfil its equation"):
        info = found()
    assert not info.converged
