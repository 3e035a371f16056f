"""L-BFGS and nonlinear conjugate gradients: solutions of closed form, SciPy's, and their derivatives."""

import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.special

import hograd as ho
import optim
from hograd.errors import ArgumentError, ConvergenceError, ConvergenceWarning, DtypeError, LevelError
from optim.hyper import CG, Bilevel, Dense, Implicit, Reverse, hypergradient
from optim.nonlinear_cg import RULES

SOLVERS = {"lbfgs": optim.LBFGS(), "lbfgs short": optim.LBFGS(memory=2)} | {
    rule: optim.NonlinearCG(rule=rule) for rule in RULES
}
every_solver = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


def spd(n, condition, seed):
    random = np.random.default_rng(seed)
    q, _ = np.linalg.qr(random.normal(size=(n, n)))
    return (q * np.geomspace(1, condition, n)) @ q.T


def quadratic(w, b, A):
    return 0.5 * w @ (A @ w) - b @ w


def rosenbrock(w):
    return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()


@every_solver
def test_quadratics_have_the_solution_of_the_linear_system(solver):
    A, b = ho.tensor(spd(12, 100.0, 0)), ho.tensor(np.random.default_rng(1).normal(size=12))
    found = solver.minimize(quadratic, ho.zeros(12), b, A)
    assert found.converged
    np.testing.assert_allclose(found.params.numpy(), np.linalg.solve(A.numpy(), b.numpy()), rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.value.item(), quadratic(found.params, b, A).item(), rtol=1e-14)
    assert found.gradient <= 1e-10 * max(1.0, float(ho.abs(found.params).max()))


def test_conjugate_gradients_end_after_as_many_steps_as_a_quadratic_has_eigenvalues():
    """The interpolation is exact for a quadratic."""
    scale = ho.tensor([1.0, 10.0, 100.0]).repeat(5)
    found = optim.NonlinearCG(curvature=1e-3).minimize(lambda w: (scale * (w - 1) ** 2).sum(), ho.zeros(15))
    assert found.converged
    assert found.steps == 3


@pytest.mark.parametrize("rule", RULES)
def test_conjugate_gradients_end_about_as_soon_as_on_paper(rule):
    """The rounding of values, which differ by less than it near the minimum, costs neither steps nor evaluations."""
    A, b = ho.tensor(spd(12, 100.0, 0)), ho.tensor(np.random.default_rng(1).normal(size=12))
    found = optim.NonlinearCG(rule=rule).minimize(quadratic, ho.zeros(12), b, A)
    assert found.steps <= 18
    assert found.evaluations <= 3 * found.steps


@every_solver
@pytest.mark.parametrize("n", [2, 10])
def test_rosenbrock(solver, n):
    begun = ho.tensor(np.where(np.arange(n) % 2 == 0, -1.2, 1.0))
    found = solver.minimize(rosenbrock, begun)
    assert found.reason == "gradient"
    np.testing.assert_allclose(found.params.numpy(), np.ones(n), rtol=0, atol=1e-8)


def logistic(seed=0, n=80, d=6):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, d))
    y = (x @ random.normal(size=d) + 0.5 * random.normal(size=n) > 0).astype(float)
    return x, y


@every_solver
def test_logistic_regression_agrees_with_scipy(solver):
    x, y = logistic()

    def loss(params, l2):
        logits = ho.tensor(x) @ params["w"] + params["b"]
        return ho.binary_cross_entropy_with_logits(logits, ho.tensor(y)) + l2 * (params["w"] ** 2).sum()

    def by_hand(v):
        z = x @ v[:-1] + v[-1]
        residual = (scipy.special.expit(z) - y) / len(y)
        value = np.mean(np.logaddexp(0, z) - y * z) + 0.01 * v[:-1] @ v[:-1]
        return value, np.append(x.T @ residual + 0.02 * v[:-1], residual.sum())

    theirs = scipy.optimize.minimize(
        by_hand, np.zeros(7), jac=True, method="L-BFGS-B", options={"gtol": 1e-11, "ftol": 0}
    )
    found = solver.minimize(loss, {"w": ho.zeros(6), "b": ho.tensor(0.0)}, ho.tensor(0.01))
    assert found.converged
    np.testing.assert_allclose(found.value.item(), theirs.fun, rtol=1e-13)
    ours = np.append(found.params["w"].numpy(), found.params["b"].item())
    np.testing.assert_allclose(ours, theirs.x, rtol=0, atol=2e-7)


@pytest.mark.parametrize(("solver", "theirs"), [(optim.LBFGS(), "L-BFGS-B"), (optim.NonlinearCG(), "CG")])
def test_a_solver_takes_about_as_many_evaluations_as_that_of_scipy(solver, theirs):
    begun = np.where(np.arange(10) % 2 == 0, -1.2, 1.0)
    value = ho.func.grad_and_value(rosenbrock)

    def on_arrays(v):
        slope, loss = value(ho.tensor(v))
        return loss.item(), slope.numpy()

    options = {"gtol": 1e-10} | ({"ftol": 0} if theirs == "L-BFGS-B" else {})
    reference = scipy.optimize.minimize(on_arrays, begun, jac=True, method=theirs, options=options)
    found = solver.minimize(rosenbrock, ho.tensor(begun))
    assert found.evaluations <= 1.2 * reference.nfev


@every_solver
@pytest.mark.parametrize(("dtype", "accuracy"), [("float16", 3e-2), ("float32", 2e-3), ("float64", 1e-8)])
def test_the_answer_keeps_structure_shapes_and_dtypes(solver, dtype, accuracy):
    params = {"m": ho.zeros(2, 3, dtype=dtype), "list": [ho.tensor(0.5, dtype=dtype), ho.zeros(0, dtype=dtype)]}

    def loss(p):
        return ((p["m"] - 1) ** 2).sum() + (p["list"][0] - p["m"].sum()) ** 2 + p["list"][1].sum()

    found = solver.minimize(loss, params)
    assert found.converged
    assert ho.tree.structure(found.params) == ho.tree.structure(params)
    for ours, theirs in zip(ho.tree.leaves(found.params), ho.tree.leaves(params), strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(found.params["m"].numpy(), 1.0, atol=accuracy)
    np.testing.assert_allclose(found.params["list"][0].item(), 6.0, atol=6 * accuracy)


def test_parameters_of_two_dtypes_each_keep_theirs():
    params = {"half": ho.zeros(2, dtype=ho.float32), "whole": ho.zeros(2)}
    found = optim.LBFGS().minimize(lambda p: sum(((x - 1) ** 2).sum() for x in p.values()), params)
    assert {name: x.dtype for name, x in found.params.items()} == {"half": ho.float32, "whole": ho.float64}
    slope = ho.func.grad(
        lambda a: (
            optim.LBFGS()
            .minimize(lambda p, a: sum(((x - a) ** 2).sum() for x in p.values()), params, a)
            .params["whole"]
            .sum()
        )
    )(ho.tensor(3.0))
    np.testing.assert_allclose(slope.item(), 2.0, rtol=1e-6)


@every_solver
def test_the_solution_is_differentiated_by_its_equation_to_second_order_in_both_modes(solver):
    """w = (1 + e**a)^-1 elementwise."""
    target = ho.tensor([1.0, -2.0, 0.5])

    def solution(a):
        return solver.minimize(lambda w, a: ((w - target) ** 2).sum() + (ho.exp(a) * w**2).sum(), ho.zeros(3), a).params

    def closed(a):
        return target / (1 + ho.exp(a))

    a = ho.tensor([0.3, -0.5, 1.0])
    for derivative in (ho.func.jacrev, ho.func.jacfwd, lambda f: ho.func.hessian(lambda a: (f(a) ** 2).sum())):
        np.testing.assert_allclose(derivative(solution)(a).numpy(), derivative(closed)(a).numpy(), rtol=0, atol=1e-8)


def test_under_vmap_each_element_is_solved_on_its_own():
    def solve(a):
        found = optim.LBFGS().minimize(lambda w, a: ho.cosh(w - a) + 0.1 * w**2, ho.tensor(0.0), a)
        return found.params, found.value

    mapped = ho.func.vmap(solve)(ho.tensor([0.5, 5.0]))
    for i, a in enumerate([0.5, 5.0]):
        for ours, single in zip(mapped, solve(ho.tensor(a)), strict=True):
            np.testing.assert_allclose(ours[i].item(), single.item(), rtol=1e-9)


def test_a_search_gives_the_same_as_constants():
    begun, a = ho.zeros(2), ho.tensor(2.0, requires_grad=True)

    def loss(w, a):
        return ((w - a) ** 4).sum() + (w**2).sum()

    searched, found = optim.LBFGS().search(loss, begun, a), optim.LBFGS().minimize(loss, begun, a)
    assert (searched.params == found.params).all()
    assert searched.value.item() == found.value.item()
    assert searched[2:] == found[2:]
    assert found.params.requires_grad
    assert not searched.params.requires_grad
    assert not searched.value.requires_grad


def ridge_problem(seed=3):
    random = np.random.default_rng(seed)
    x, xv = random.normal(size=(30, 8)), random.normal(size=(20, 8))
    y, yv = random.normal(size=30), random.normal(size=20)
    problem = Bilevel(
        inner_loss=lambda w, h: ((ho.tensor(x) @ w - ho.tensor(y)) ** 2).mean() + (h * w**2).sum(),
        outer_loss=lambda w, h: ((ho.tensor(xv) @ w - ho.tensor(yv)) ** 2).mean(),
        init=ho.zeros(8),
        optimizer=optim.SGD(lr=0.15),
    )

    def closed(h):
        w = ho.linalg.solve(ho.tensor(x.T @ x / 30) + ho.diag(h), ho.tensor(x.T @ y / 30))
        return problem.outer_loss(w, h)

    return problem, closed, ho.tensor(random.uniform(0.1, 0.5, 8))


@every_solver
@pytest.mark.parametrize("linear", [CG(), Dense()], ids=str)
def test_as_inner_solver_of_ridge_regression_the_hypergradient_has_its_closed_form(solver, linear):
    problem, closed, h = ridge_problem()
    value, slope, info = hypergradient(problem, h, Implicit(linear, solve=solver))
    np.testing.assert_allclose(value.item(), closed(h).item(), rtol=1e-9)
    np.testing.assert_allclose(slope.numpy(), ho.func.grad(closed)(h).numpy(), rtol=0, atol=1e-8)
    assert info.converged
    assert info.inner_residual < 1e-8
    assert 0 < info.inner_steps < info.inner_gradients


@every_solver
def test_the_hypergradient_is_that_of_the_converged_unroll(solver):
    x, y = logistic(5)
    problem = Bilevel(
        inner_loss=lambda w, h: (
            ho.binary_cross_entropy_with_logits(ho.tensor(x[:40]) @ w, ho.tensor(y[:40])) + (h * w**2).sum()
        ),
        outer_loss=lambda w, h: ho.binary_cross_entropy_with_logits(ho.tensor(x[40:]) @ w, ho.tensor(y[40:])),
        init=ho.zeros(6),
        optimizer=optim.SGD(lr=1.0),
    )
    h = ho.full((6,), 0.1)
    unrolled = hypergradient(problem, h, Reverse(steps=150))
    implicit = hypergradient(problem, h, Implicit(CG(), solve=solver))
    np.testing.assert_allclose(implicit.value.item(), unrolled.value.item(), rtol=1e-9)
    np.testing.assert_allclose(implicit.hypergrad.numpy(), unrolled.hypergrad.numpy(), rtol=0, atol=1e-8)


def test_warm_started_inner_solutions_take_fewer_steps():
    problem, _, h = ridge_problem()
    found = optim.hyper.bilevel(problem, h, optim.SGD(lr=1e-3), Implicit(solve=optim.LBFGS()), steps=1, warm_start=True)
    cold = hypergradient(problem, h, Implicit(solve=optim.LBFGS()))
    assert found.info.inner_steps < cold.info.inner_steps


@every_solver
def test_steps_that_run_out_are_the_reason_and_warned_of(solver):
    import dataclasses

    with pytest.warns(ConvergenceWarning, match=r"stopped after 3 steps, since it took as many steps as it may"):
        found = dataclasses.replace(solver, steps=3).minimize(rosenbrock, ho.tensor([-1.2, 1.0]))
    assert (found.reason, found.steps, found.converged) == ("steps", 3, False)
    with warnings.catch_warnings(record=True):
        assert found.value < rosenbrock(ho.tensor([-1.2, 1.0]))


def test_a_kink_that_no_step_passes_is_the_reason():
    with pytest.warns(ConvergenceWarning, match="no step along the direction lowers the loss"):
        found = optim.LBFGS().minimize(lambda w: ho.abs(w - 1).sum() + 0.3 * w.sum(), ho.tensor([0.0]))
    assert found.reason == "line search"
    assert found.params.item() == pytest.approx(1.0, abs=1e-6)


def test_an_unconverged_inner_solution_is_told_by_info():
    problem, _, h = ridge_problem()
    with pytest.warns(ConvergenceWarning):
        info = hypergradient(problem, h, Implicit(solve=optim.LBFGS(steps=2))).info
    assert not info.converged
    assert info.inner_steps == 2


BOTH = pytest.mark.parametrize("solver", [optim.LBFGS(), optim.NonlinearCG()], ids=["lbfgs", "cg"])


@BOTH
@pytest.mark.parametrize("size", [1e-8, 1.0, 1e9])
def test_a_parameter_of_another_size_does_not_loosen_what_is_asked_of_the_others(solver, size):
    scale = ho.tensor(np.geomspace(1, 1e3, 6))

    def loss(p):
        return 0.5 * (scale * (p["w"] - 1) ** 2).sum() + 0.5e-3 * (p["b"] / size - 1) ** 2 * min(1.0, size**2)

    found = solver.minimize(loss, {"w": ho.zeros(6), "b": ho.tensor(size)})
    assert found.converged
    np.testing.assert_allclose(found.params["w"].numpy(), 1.0, rtol=0, atol=1e-9)


@BOTH
def test_an_immense_intercept_beside_ordinary_weights_leaves_these_right(solver):
    random = np.random.default_rng(0)
    x, right = random.normal(size=(40, 3)), np.array([1.0, -2.0, 0.5])
    y = ho.tensor(x @ right + 1e9)
    begun = {"w": ho.zeros(3), "b": ho.tensor(1e9 - 5)}
    found = solver.minimize(lambda p: ((ho.tensor(x) @ p["w"] + p["b"] - y) ** 2).mean(), begun)
    assert found.converged
    np.testing.assert_allclose(found.params["w"].numpy(), right, rtol=0, atol=1e-6)


@BOTH
@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e-12, 1.0, 1e12, 1e200])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_the_scale_and_the_offset_of_the_loss_do_not_matter(solver, scale, offset):
    found = solver.minimize(lambda w: scale * rosenbrock(w) + offset * 1e12 * scale, ho.tensor([-1.2, 1.0]))
    assert found.converged
    np.testing.assert_allclose(found.params.numpy(), 1.0, rtol=0, atol=1e-7)


UNBOUNDED = {
    "exponential": lambda w: ho.exp(-w).sum(),
    "exponential beside a quadratic": lambda w: ho.exp(-w[0]) + (w[1] - 2) ** 2,
    "linear": lambda w: -w.sum(),
    "linear beside a quadratic": lambda w: (w[0] - 2) ** 2 - w[1],
    "logarithm": lambda w: -ho.log(w).sum(),
    "reciprocal": lambda w: (1 / w).sum(),
    "quartic": lambda w: -(w**4).sum(),
    "separable classes": lambda w: ho.softplus(-w * ho.tensor([1.0, 3.0])).mean(),
}


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", UNBOUNDED.values(), ids=UNBOUNDED)
def test_a_loss_without_a_minimum_is_said_to_have_none(solver, loss, dtype):
    with pytest.warns(ConvergenceWarning, match="since the loss falls without end"):
        found = solver.minimize(loss, ho.ones(2, dtype=dtype))
    assert (found.reason, found.converged) == ("unbounded", False)


@BOTH
@pytest.mark.parametrize("begun", [6.0, 15.0, 1e-3])
def test_a_plateau_is_no_minimum(solver, begun):
    found = solver.minimize(lambda w: (ho.tanh(w) ** 2).sum(), ho.tensor([begun]))
    assert found.converged
    np.testing.assert_allclose(found.params.numpy(), 0.0, rtol=0, atol=1e-9)


@BOTH
def test_flat_minima_are_found(solver):
    found = solver.minimize(lambda w: (w**4).sum(), ho.tensor([1.0, 2.0]))
    assert found.converged
    np.testing.assert_allclose(found.params.numpy(), 0.0, rtol=0, atol=1e-8)
    # A parameter that the loss does not depend on, and minima that are not isolated.
    found = solver.minimize(lambda w: (ho.relu(w[0]) - 0 * w[1]) ** 2, ho.tensor([3.0, 5.0]))
    assert found.converged
    assert found.params[0].item() <= 0


@BOTH
@pytest.mark.parametrize("begun", [ho.tensor([2.0, 3.0]), ho.zeros(0)], ids=["two", "none"])
def test_a_constant_loss_is_solved_where_it_begins(solver, begun):
    found = solver.minimize(lambda w: (0 * w).sum() + 3, begun)
    assert (found.reason, found.steps, found.evaluations) == ("gradient", 0, 1)


@pytest.mark.parametrize("solver", [optim.LBFGS(), optim.NonlinearCG()], ids=["lbfgs", "cg"])
def test_an_inner_loss_without_a_minimum_has_no_implicit_derivative(solver):
    problem = Bilevel(lambda w, a: a * ho.exp(-w), lambda w, a: (w - 1) ** 2, ho.tensor(0.0))
    with (
        pytest.warns(ConvergenceWarning),
        pytest.raises(ConvergenceError, match="the inner loss falls without end, so there is no inner solution"),
    ):
        hypergradient(problem, ho.tensor(1.0), Implicit(solve=solver))


@every_solver
def test_points_that_are_not_finite_are_avoided(solver):
    """The first step leads where the logarithm is not defined."""
    found = solver.minimize(lambda w: (w - 50 * ho.log(w)).sum(), ho.tensor([0.01, 3.0]))
    np.testing.assert_allclose(found.params.numpy(), 50.0, rtol=1e-7)


@every_solver
def test_a_start_that_is_not_finite_is_refused(solver):
    with pytest.raises(ConvergenceError, match="where it begins the loss is nan"):
        solver.minimize(lambda w: ho.log(w).sum(), ho.tensor([-1.0]))
    with pytest.raises(ConvergenceError, match="largest element of its gradient inf"):
        solver.minimize(lambda w: ho.sqrt(w).sum(), ho.tensor([0.0]))


def test_where_the_gradient_is_zero_at_once_no_step_is_taken():
    found = optim.LBFGS().minimize(lambda w: (w**2).sum(), ho.zeros(2))
    assert (found.steps, found.evaluations, found.reason) == (0, 1, "gradient")


def test_integers_are_refused():
    with pytest.raises(DtypeError, match=r"LBFGS: params\['n'\] has dtype int64, expected a floating tensor"):
        optim.LBFGS().minimize(lambda p: (p["n"] * 1.0).sum(), {"n": ho.tensor([1, 2])})


def test_a_loss_that_closes_over_what_is_differentiated_is_refused():
    with pytest.raises((ArgumentError, LevelError), match="not among its arguments"):
        ho.func.grad(lambda a: optim.LBFGS().minimize(lambda w: (w - a) ** 2, ho.tensor(0.0)).params)(ho.tensor(1.0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.LBFGS(memory=0), "LBFGS: memory is 0, expected a whole number of at least 1"),
        (lambda: optim.LBFGS(tolerance=-1.0), "LBFGS: tolerance is -1.0, expected a number of at least 0"),
        (lambda: optim.LBFGS(steps=1.5), "LBFGS: steps is 1.5, expected a whole number"),
        (lambda: optim.LBFGS(decrease=0.7), "decrease is 0.7, expected a number between 0 and 1/2"),
        (lambda: optim.NonlinearCG(curvature=1e-5), "curvature is 1e-05, expected a number between decrease"),
        (lambda: optim.NonlinearCG(rule="newton"), "NonlinearCG: rule is 'newton', expected one of 'hager-zhang'"),
    ],
)
def test_wrong_options_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
