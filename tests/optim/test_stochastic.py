"""Bilevel algorithms on samples: their steps written out, and the solution of a quadratic problem in closed form."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim.hyper import Bilevel
from optim.hyper.penalty import BOME, F2SA
from optim.hyper.stochastic import BSA, SOBA, TTSA, AmIGO, StocBiO

RNG = np.random.default_rng(11)
HALF = RNG.normal(size=(4, 4))
H = HALF @ HALF.T / 12 + 0.4 * np.eye(4)  # eigenvalues between 0.4 and about 1.4
B, C = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 4))
D = RNG.normal(size=5)
NOISE = RNG.normal(size=(2000, 4)) * 0.3
DECAY = 2.0


def problem(noisy=False):
    """f = w.Hw/2 - w.(B a + noise) ;  E = |C w - d|^2/10 + decay |a|^2/2 ."""
    matrix, mixing, judge, aim = map(ho.tensor, (H, B, C, D))

    def inner(w, a, *batch):
        drift = ho.tensor(NOISE[batch[0]]) if batch else 0.0
        return 0.5 * w @ (matrix @ w) - (w * (mixing @ a + drift)).sum()

    def outer(w, a, *batch):
        drift = ho.tensor(NOISE[batch[0]]) if batch else 0.0
        return ((judge @ w - aim) ** 2).sum() / 10 + 0.5 * DECAY * (a**2).sum() + (drift * w).sum()

    return Bilevel(inner, outer, init=ho.zeros(4), batches=(lambda k: k % 2000) if noisy else None)


def solution():
    to_w = C @ np.linalg.solve(H, B)
    return np.linalg.solve(to_w.T @ to_w / 5 + DECAY * np.eye(3), to_w.T @ D / 5)


START = np.array([0.5, -1.0, 2.0])
# What is left is the noise of random lengths, and the bias of penalties and of a rate that stays.
ALGORITHMS = {
    "soba": (SOBA(inner_lr=0.5, outer_lr=0.03), 400, 1e-6),
    "amigo": (AmIGO(inner_lr=0.8, outer_lr=0.1, inner_steps=5, system_steps=5), 80, 1e-4),
    "stocbio": (StocBiO(inner_lr=0.8, outer_lr=0.1, inner_steps=5, system_steps=20), 60, 1e-3),
    "bsa": (BSA(inner_lr=0.5, outer_lr=0.02, system_steps=8, system_lr=0.8), 250, 0.2),
    "ttsa": (TTSA(inner_lr=0.8, outer_lr=0.3, system_lr=0.8, system_steps=8), 300, 0.1),
    "f2sa": (F2SA(inner_lr=0.8, outer_lr=0.03, inner_steps=3, growth=0.5), 200, 0.01),
    "bome": (BOME(inner_lr=0.8, outer_lr=0.03, inner_steps=5), 1000, 0.15),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_closed_form_solution_is_found(name):
    algorithm, steps, accuracy = ALGORITHMS[name]
    found = algorithm.run(problem(), ho.tensor(START), steps)
    exact = solution()
    error = np.linalg.norm(found.outer.numpy() - exact) / np.linalg.norm(exact)
    assert error < accuracy
    assert np.linalg.norm(START - exact) > 2 * np.linalg.norm(exact)
    assert found.number == steps


def f_slope(w, a, k):
    return H @ w - B @ a - NOISE[k]


def e_slope(w, k):
    return C.T @ (C @ w - D) / 5 + NOISE[k]


def test_the_steps_of_soba_are_those_of_the_paper():
    w, v, a = np.zeros(4), np.zeros(4), START
    for t in range(5):
        new_w = w - 0.3 * f_slope(w, a, 3 * t)
        new_v = v - 0.3 * (H @ v - e_slope(w, t))
        a = a - 0.2 * (DECAY * a + B.T @ v)
        w, v = new_w, new_v
    found = SOBA(inner_lr=0.3, outer_lr=0.2, outer_batches=lambda k: k).run(problem(True), ho.tensor(START), 5)
    for ours, theirs in ((found.params, w), (found.adjoint, v), (found.outer, a)):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12)
    assert found.drawn == (15, 5)


def test_the_steps_of_amigo_and_stocbio_are_those_of_the_papers():
    for algorithm in (AmIGO, StocBiO):
        w, v, a, k = np.zeros(4), np.zeros(4), START, 0
        for t in range(3):
            for _ in range(2):
                w, k = w - 0.3 * f_slope(w, a, k), k + 1
            right = e_slope(w, t)
            if algorithm is AmIGO:
                for _ in range(4):
                    v = v - 0.1 * (H @ v - right)
            else:
                v = 0.1 * sum(np.linalg.matrix_power(np.eye(4) - 0.1 * H, q) @ right for q in range(4))
            k += 5 if algorithm is AmIGO else 4
            a = a - 0.2 * (DECAY * a + B.T @ v)
        method = algorithm(
            inner_lr=0.3, outer_lr=0.2, inner_steps=2, system_steps=4, system_lr=0.1, outer_batches=lambda k: k
        )
        found = method.run(problem(True), ho.tensor(START), 3)
        np.testing.assert_allclose(found.outer.numpy(), a, rtol=1e-12)
        np.testing.assert_allclose(found.adjoint.numpy(), v, rtol=1e-12)
        assert found.drawn == (k, 3)


def test_the_product_of_random_length_has_the_neumann_series_as_its_mean():
    right = e_slope(np.zeros(4) - 0.3 * f_slope(np.zeros(4), START, 0), 0) - NOISE[0]
    draws = []
    for seed in range(800):
        method = BSA(inner_lr=0.3, outer_lr=0.0, inner_steps=1, system_steps=5, system_lr=0.5, seed=seed)
        draws.append(method.run(problem(True), ho.tensor(START), 1).adjoint.numpy())
    expected = 0.5 * sum(np.linalg.matrix_power(np.eye(4) - 0.5 * H, q) @ right for q in range(5))
    error = np.std(draws, axis=0, ddof=1) / np.sqrt(len(draws))
    assert np.all(np.abs(np.mean(draws, axis=0) - expected) < 4 * error)
    assert np.linalg.norm(error) < 0.05 * np.linalg.norm(expected)


def test_the_rates_of_ttsa_fall_on_two_time_scales():
    method = TTSA(inner_lr=0.4, outer_lr=0.2)
    assert method.rates(0) == (0.4, 0.2, 1)
    assert method.rates(31) == pytest.approx((0.4 / 4, 0.2 / 8, 1))
    assert BSA(inner_lr=0.4, outer_lr=0.2, inner_steps=3).rates(8) == (0.4, 0.2, 9)


def test_the_steps_of_f2sa_are_those_of_the_paper():
    w, z, a = np.zeros(4), np.zeros(4), START
    for t in range(5):
        s = 2 + 0.5 * t
        z = z - 0.3 * f_slope(z, a, 3 * t)
        w = w - 0.3 / s * (e_slope(w, 2 * t) + s * f_slope(w, a, 3 * t + 1))
        a = a - 0.2 * (DECAY * a + s * (-B.T @ w + B.T @ z))
    method = F2SA(inner_lr=0.3, outer_lr=0.2, multiplier=2.0, growth=0.5, outer_batches=lambda k: k)
    found = method.run(problem(True), ho.tensor(START), 5)
    for ours, theirs in ((found.params, w), (found.adjoint, z), (found.outer, a)):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-11)


def test_the_steps_of_bome_are_those_of_the_paper():
    w, a = np.zeros(4), START
    for _ in range(5):
        ahead = w
        for _ in range(3):
            ahead = ahead - 0.3 * (H @ ahead - B @ a)
        slope = np.concatenate([C.T @ (C @ w - D) / 5, DECAY * a])
        fall = np.concatenate([H @ w - B @ a, -B.T @ w + B.T @ ahead])
        s = max(0.5 - slope @ fall / (fall @ fall), 0)
        move = 0.1 * (slope + s * fall)
        w, a = w - move[:4], a - move[4:]
    found = BOME(inner_lr=0.3, outer_lr=0.1, inner_steps=3).run(problem(), ho.tensor(START), 5)
    np.testing.assert_allclose(found.params.numpy(), w, rtol=1e-11)
    np.testing.assert_allclose(found.outer.numpy(), a, rtol=1e-11)


def test_bome_where_the_inner_problem_is_solved_already():
    still = Bilevel(lambda w, a: (w**2).sum() + 0 * a, lambda w, a: (w * a).sum(), init=ho.zeros(2))
    found = BOME(inner_lr=0.3, outer_lr=0.1).run(still, ho.tensor(1.0), 1)
    assert found.params.numpy().tolist() == [-0.1, -0.1]


def test_trees():
    tree_problem = Bilevel(
        lambda p, o: ((p["a"] - o["x"]) ** 2).sum() + (p["b"] - o["y"]) ** 2,
        lambda p, o: ((p["a"] - 1) ** 2).sum() + (p["b"] + 2) ** 2,
        init={"a": ho.zeros(2), "b": ho.tensor(0.0)},
    )
    found = SOBA(inner_lr=0.25, outer_lr=0.1).run(tree_problem, {"x": ho.zeros(2), "y": 0.5}, 400)
    np.testing.assert_allclose(found.outer["x"].numpy(), [1, 1], rtol=1e-5)
    assert float(found.outer["y"]) == pytest.approx(-2, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: SOBA(inner_lr=0.0, outer_lr=0.1), "SOBA: inner_lr is 0.0, expected a finite number above 0"),
        (lambda: AmIGO(inner_lr=0.1, outer_lr=0.1, system_steps=0), "AmIGO: system_steps is 0"),
        (lambda: F2SA(inner_lr=0.1, outer_lr=0.1, multiplier=0.0), "F2SA: multiplier is 0.0"),
        (lambda: BOME(inner_lr=0.1, outer_lr=0.1, control=0.0), "BOME: control is 0.0"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()
