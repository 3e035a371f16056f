"""Methods that differentiate training itself, on quadratic problems of a hundred numbers whose training is known."""

import numpy as np
import pytest

import hograd as ho
from optim import SGD
from optim.hyper import Bilevel, Forward, Implicit, Reverse, Reversible, Truncated, hypergradient
from optim.hyper.solvers import CG, GMRES, MINRES, Dense, Neumann, NormalCG

N, STEPS = 100, 30


class Training:
    """f = w.Hw/2 - w.(B a + c) ;  E = |C w - d|^2/2 + |a|^2/2 ;  the eigenvalues h of H lie in [1 / condition, 1].

    In the basis of H, heavy-ball steps of every coordinate are a linear recursion of two numbers of its own.
    """

    def __init__(self, condition, lr=1.0, momentum=0.0, seed=0):
        random = np.random.default_rng(seed)
        self.basis = np.linalg.qr(random.normal(size=(N, N)))[0]
        self.h = np.geomspace(1 / condition, 1, N)
        self.B, self.C = random.normal(size=(N, N)), random.normal(size=(N, N)) / 10
        self.c, self.d, self.start, self.outer = random.normal(size=(4, N))
        self.lr, self.momentum = lr, momentum
        H, B, C, c, d = map(ho.tensor, ((self.basis * self.h) @ self.basis.T, self.B, self.C, self.c, self.d))
        self.problem = Bilevel(
            lambda w, a: 0.5 * w @ (H @ w) - w @ (B @ a["shift"] + c),
            lambda w, a: 0.5 * ((C @ w - d) ** 2).sum() + 0.5 * (a["shift"] ** 2).sum(),
            init=lambda a: a["start"],
            optimizer=lambda a: SGD(lr=a["lr"], momentum=a["momentum"]) if momentum else SGD(lr=a["lr"]),
        )
        self.variables = {"shift": ho.tensor(self.outer), "start": ho.tensor(self.start), "lr": ho.tensor(lr)}
        if momentum:
            self.variables["momentum"] = ho.tensor(momentum)

    def exact(self, steps=STEPS, last=None):
        """Trained parameters and hypergradient, through the last steps alone if `last` says so."""
        b = self.basis.T @ (self.B @ self.outer + self.c)
        w, m = self.basis.T @ self.start, np.zeros(N)
        # Derivatives of w and m by b, start, lr and momentum.
        by = {name: [np.zeros(N), np.zeros(N)] for name in ("shift", "start", "lr", "momentum")}
        if last is None:
            by["start"][0] = np.ones(N)
        for step in range(steps):
            if last is not None and step < steps - last:
                m = self.momentum * m + self.h * w - b
                w = w - self.lr * m
                continue
            new_m = self.momentum * m + self.h * w - b
            for name, (dw, dm) in by.items():
                dm = self.momentum * dm + self.h * dw - (name == "shift") + (m if name == "momentum" else 0)
                by[name] = [dw - self.lr * dm - (new_m if name == "lr" else 0), dm]
            w, m = w - self.lr * new_m, new_m
        params = self.basis @ w
        slope = self.basis.T @ (self.C.T @ (self.C @ params - self.d))
        found = {
            "shift": self.B.T @ (self.basis @ (by["shift"][0] * slope)) + self.outer,
            "start": self.basis @ (by["start"][0] * slope),
            "lr": by["lr"][0] @ slope,
            "momentum": by["momentum"][0] @ slope,
        }
        return params, {name: found[name] for name in self.variables}


def expect_close(found, exact, accuracy=1e-10):
    params, hypergrad = exact
    assert np.linalg.norm(found.info.params.numpy() - params) <= accuracy * np.linalg.norm(params)
    for name, value in hypergrad.items():
        assert np.linalg.norm(found.hypergrad[name].numpy() - value) <= accuracy * np.linalg.norm(value), name


CONDITIONS = [1e1, 1e2, 1e4]
METHODS = {
    "reverse": Reverse(STEPS),
    "reverse with checkpoints": Reverse(STEPS, checkpoint="sqrt"),
    "truncated nowhere": Truncated(STEPS, last=STEPS),
    "forward": Forward(STEPS),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_gradient_descent_in_closed_form(name, condition):
    training = Training(condition)
    expect_close(hypergradient(training.problem, training.variables, METHODS[name]), training.exact())


@pytest.mark.parametrize("name", [*METHODS, "reversible"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_momentum_in_closed_form(name, condition):
    training = Training(condition, lr=0.8, momentum=0.9)
    method = {**METHODS, "reversible": Reversible(STEPS)}[name]
    expect_close(hypergradient(training.problem, training.variables, method), training.exact())


@pytest.mark.parametrize("last", [0, 1, 7, 29])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_truncation_in_closed_form(last, momentum):
    training = Training(1e2, lr=0.8, momentum=momentum)
    found = hypergradient(training.problem, training.variables, Truncated(STEPS, last))
    exact = training.exact(last=last)
    expect_close(found, exact)
    assert not found.hypergrad["start"].numpy().any()


@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_neumann_series_of_a_slow_problem_stay_within_their_rate(k, condition):
    training = Training(condition)
    shift = {"shift": ho.tensor(training.outer)}
    H = (training.basis * training.h) @ training.basis.T
    solution = np.linalg.solve(H, training.B @ training.outer + training.c)
    problem = Bilevel(training.problem.inner_loss, training.problem.outer_loss, ho.tensor(solution))
    method = Implicit(Neumann(k, lr=1.0), solve=lambda w, a: w)
    found = hypergradient(problem, shift, method).info.warm_start.numpy()
    v = np.linalg.solve(H, training.C.T @ (training.C @ solution - training.d))
    assert np.linalg.norm(found - v) <= (1 - 1 / condition) ** (k + 1) * np.linalg.norm(v) * (1 + 1e-9)


@pytest.mark.parametrize("k", [1, 3, 10, 30, 100])
def test_conjugate_gradients_of_a_slow_problem_stay_below_their_bound(k):
    training = Training(1e4)
    H = (training.basis * training.h) @ training.basis.T
    b = training.c
    v = np.linalg.solve(H, b)
    found = CG(steps=k).solve(lambda x: H @ x, lambda x: H @ x, b, np.zeros(N)).x - v
    bound = 2 * ((1e2 - 1) / (1e2 + 1)) ** k * np.sqrt(v @ H @ v)
    assert np.sqrt(found @ H @ found) <= bound


def test_the_normal_equations_of_a_slow_problem_need_thousands_of_products():
    """Their condition is the square of the problem's; within ten iterations a number they end, and say so."""
    training = Training(1e4)
    H = (training.basis * training.h) @ training.basis.T
    found = NormalCG(steps=10_000, tolerance=1e-12).solve(lambda x: H @ x, lambda x: H @ x, training.c, np.zeros(N))
    v = np.linalg.solve(H, training.c)
    assert np.linalg.norm(found.x - v) < 1e-10 * np.linalg.norm(v)
    assert found.converged
    assert not NormalCG().solve(lambda x: H @ x, lambda x: H @ x, training.c, np.zeros(N)).converged


EXACT = [Dense(), CG(tolerance=1e-12), NormalCG(tolerance=1e-12), MINRES(tolerance=1e-12), GMRES(tolerance=1e-12)]


@pytest.mark.parametrize("solver", EXACT, ids=lambda s: type(s).__name__)
def test_implicit_methods_are_where_long_training_goes(solver):
    training = Training(10.0)
    variables = {name: training.variables[name] for name in ("shift", "start", "lr")}
    found = hypergradient(training.problem, variables, Implicit(solver, steps=400))
    _, exact = training.exact(steps=400)
    error = found.hypergrad["shift"].numpy() - exact["shift"]
    assert np.linalg.norm(error) < 1e-10 * np.linalg.norm(exact["shift"])
    assert float(found.hypergrad["lr"]) == 0
    assert not found.hypergrad["start"].numpy().any()
