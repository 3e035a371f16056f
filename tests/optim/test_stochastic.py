"""Bilevel algorithms on samples: their steps written out, and the solution of a quadratic problem in closed form."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, ConvergenceError
from optim.hyper import Bilevel
from optim.hyper.penalty import BOME, F2SA
from optim.hyper.stochastic import BSA, FSLA, MRBO, SABA, SOBA, SUSTAIN, TTSA, AmIGO, StocBiO

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
    "saba": (SABA(inner_lr=0.5, outer_lr=0.03, counts=(1, 1)), 400, 1e-6),
    "fsla": (FSLA(inner_lr=0.5, outer_lr=0.03, share=0.5), 400, 1e-6),
    "amigo": (AmIGO(inner_lr=0.8, outer_lr=0.1, inner_steps=5, system_steps=5), 80, 1e-4),
    "stocbio": (StocBiO(inner_lr=0.8, outer_lr=0.1, inner_steps=5, system_steps=20), 60, 1e-3),
    "bsa": (BSA(inner_lr=0.5, outer_lr=0.02, system_steps=8, system_lr=0.8), 250, 0.2),
    "ttsa": (TTSA(inner_lr=0.8, outer_lr=0.3, system_lr=0.8, system_steps=8), 300, 0.1),
    "sustain": (SUSTAIN(inner_lr=0.5, outer_lr=0.02, system_steps=8, system_lr=0.8), 250, 0.2),
    "mrbo": (MRBO(inner_lr=0.8, outer_lr=0.1, system_lr=0.8, system_steps=20), 80, 1e-2),
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
        new_w = w - 0.3 * f_slope(w, a, t)
        new_v = v - 0.3 * (H @ v - e_slope(w, t))
        a = a - 0.2 * (DECAY * a + B.T @ v)
        w, v = new_w, new_v
    found = SOBA(inner_lr=0.3, outer_lr=0.2, outer_batches=lambda k: k).run(problem(True), ho.tensor(START), 5)
    for ours, theirs in ((found.params, w), (found.adjoint, v), (found.outer, a)):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12)
    assert found.drawn == (5, 5)


def test_the_steps_of_saba_are_those_of_the_paper():
    def parts(w, v, a, i, j):
        return [f_slope(w, a, i), H @ v, -B.T @ v], [e_slope(w, j), DECAY * a]

    w, v, a = np.zeros(4), np.zeros(4), START
    memory = [[parts(w, v, a, i, 0)[0] for i in range(3)], [parts(w, v, a, 0, j)[1] for j in range(2)]]
    for t in range(6):
        random = np.random.default_rng([4, t])
        places = random.integers(3), random.integers(2)
        corrected = []
        for known, place, new in zip(memory, places, parts(w, v, a, *places), strict=True):
            corrected += [x - known[place][q] + np.mean([m[q] for m in known], axis=0) for q, x in enumerate(new)]
            known[place] = new
        slope, bent, cross, right, direct = corrected
        w, v, a = w - 0.3 * slope, v - 0.3 * (bent - right), a - 0.2 * (direct - cross)
    method = SABA(inner_lr=0.3, outer_lr=0.2, counts=(3, 2), seed=4, outer_batches=lambda k: k)
    found = method.run(problem(True), ho.tensor(START), 6)
    for ours, theirs in ((found.params, w), (found.adjoint, v), (found.outer, a)):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-11)
    assert found.drawn == (9, 8)


def test_saba_leaves_no_noise_where_soba_does():
    noise = NOISE[:4] - NOISE[:4].mean(0)
    matrix, mixing = ho.tensor(H), ho.tensor(B)
    noisy = Bilevel(
        lambda w, a, k: 0.5 * w @ (matrix @ w) - (w * (mixing @ a + ho.tensor(noise[k % 4]))).sum(),
        problem().outer_loss,
        init=ho.zeros(4),
        batches=lambda k: k,
    )
    errors = {}
    for name, method in {
        "saba": SABA(inner_lr=0.3, outer_lr=0.05, counts=(4, 1)),
        "soba": SOBA(inner_lr=0.3, outer_lr=0.05),
    }.items():
        found = method.run(noisy, ho.tensor(START), 600)
        errors[name] = np.linalg.norm(found.outer.numpy() - solution())
    assert errors["saba"] < 1e-5
    assert errors["soba"] > 2e-4


def test_the_steps_of_fsla_are_those_of_the_paper():
    w, v, a = np.zeros(4), np.zeros(4), START
    last = direction = None
    for t in range(5):
        w = w - 0.3 * f_slope(w, a, 3 * t)
        v = v - 0.3 * (H @ v - e_slope(w, 2 * t))
        slope = DECAY * a + B.T @ v
        direction = slope if direction is None else slope + (1 - 0.4) * (direction - last)
        last, a = slope, a - 0.2 * direction
    method = FSLA(inner_lr=0.3, outer_lr=0.2, share=0.4, outer_batches=lambda k: k)
    found = method.run(problem(True), ho.tensor(START), 5)
    for ours, theirs in ((found.params, w), (found.adjoint, v), (found.outer, a)):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12)
    assert found.drawn == (15, 10)


def test_the_last_slope_of_fsla_is_taken_on_the_new_batch():
    bumpy = Bilevel(
        lambda w, a, k: (w - (1 + 0.1 * k) * a) ** 2, lambda w, a: w**2, init=ho.tensor(1.0), batches=lambda k: k
    )
    w, v, a, k, slope = 1.0, 0.0, 1.0, 0, {}
    direction = last = None
    for _ in range(4):
        w, k = w - 0.1 * 2 * (w - (1 + 0.1 * k) * a), k + 1
        v, k = v - 0.1 * (2 * v - 2 * w), k + 1
        scale, k = 1 + 0.1 * k, k + 1
        slope = 2 * scale * v
        direction = slope if direction is None else slope + 0.7 * (direction - 2 * scale * last)
        last, a = v, a - 0.2 * direction
    found = FSLA(inner_lr=0.1, outer_lr=0.2, share=0.3).run(bumpy, ho.tensor(1.0), 4)
    assert float(found.outer) == pytest.approx(a, rel=1e-13)


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


@pytest.mark.parametrize("algorithm", [BSA, TTSA])
def test_the_steps_of_bsa_and_ttsa_are_those_of_the_papers(algorithm):
    w, a, k = np.zeros(4), START, 0
    for t in range(4):
        inner_lr, outer_lr, inner_steps = (0.3, 0.2, int(np.ceil(np.sqrt(t + 1))))
        if algorithm is TTSA:
            inner_lr, outer_lr, inner_steps = 0.3 / (t + 1) ** 0.4, 0.2 / (t + 1) ** 0.6, 1
        for _ in range(inner_steps):
            w, k = w - inner_lr * f_slope(w, a, k), k + 1
        length = np.random.default_rng([7, t]).integers(5)
        v = 5 * 0.1 * np.linalg.matrix_power(np.eye(4) - 0.1 * H, length) @ e_slope(w, t)
        a, k = a - outer_lr * (DECAY * a + B.T @ v), k + length + 1
    method = algorithm(inner_lr=0.3, outer_lr=0.2, system_steps=5, system_lr=0.1, seed=7, outer_batches=lambda k: k)
    found = method.run(problem(True), ho.tensor(START), 4)
    np.testing.assert_allclose(found.params.numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(found.outer.numpy(), a, rtol=1e-12)
    assert found.drawn == (k, 4)


@pytest.mark.parametrize("algorithm", [SUSTAIN, MRBO])
def test_the_steps_of_sustain_and_mrbo_are_those_of_the_papers(algorithm):
    w, a, k = np.zeros(4), START, 0
    directions = last = None
    for t in range(4):
        length = np.random.default_rng([9, t]).integers(3)

        def slopes(w, a, k=k, t=t, length=length):
            powers = [np.linalg.matrix_power(np.eye(4) - 0.1 * H, q) for q in range(3)]
            v = 0.1 * (sum(powers) if algorithm is MRBO else 3 * powers[length]) @ e_slope(w, t)
            return f_slope(w, a, k), DECAY * a + B.T @ v

        new, k = slopes(w, a), k + (4 if algorithm is MRBO else length + 2)
        if t:
            share = (5 / (5 + t - 1)) ** (2 / 3)
            old = slopes(*last)
            new = [g + (1 - c * share) * (d - o) for c, g, d, o in zip((0.3, 0.6), new, directions, old, strict=True)]
        directions, last, fall = new, (w, a), (5 / (5 + t)) ** (1 / 3)
        w, a = w - 0.3 * fall * new[0], a - 0.2 * fall * new[1]
    method = algorithm(
        inner_lr=0.3,
        outer_lr=0.2,
        inner_share=0.3,
        outer_share=0.6,
        system_steps=3,
        system_lr=0.1,
        offset=5.0,
        seed=9,
        outer_batches=lambda k: k,
    )
    found = method.run(problem(True), ho.tensor(START), 4)
    np.testing.assert_allclose(found.params.numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(found.outer.numpy(), a, rtol=1e-12)
    assert found.drawn == (k, 4)


def test_recursive_momentum_averages_noise():
    def spread(share):
        method = SUSTAIN(inner_lr=0.1, outer_lr=0.0, inner_share=share, outer_share=1.0, system_steps=1, offset=np.inf)
        at, path = method.init(problem(True), START * 0), []
        for number in range(250):
            at = method.step(problem(True), at)
            if number > 100:
                path.append(at.memory[1][0].numpy())
        return np.linalg.norm(np.std(path, axis=0))

    assert spread(0.1) < 0.5 * spread(1.0)


def test_the_steps_of_f2sa_are_those_of_the_paper():
    w, z, a = np.zeros(4), np.zeros(4), START
    for t in range(5):
        s = 2 + 0.5 * t
        z = z - 0.3 * f_slope(z, a, 3 * t)
        w = w - 0.3 / s * (e_slope(w, 2 * t) + s * f_slope(w, a, 3 * t + 1))
        a = a - 0.2 * (DECAY * a + s * (-B.T @ w + B.T @ z))
    method = F2SA(inner_lr=0.3, outer_lr=0.2, multiplier=2.0, growth=0.5, outer_batches=lambda k: k)
    found = method.run(problem(True), ho.tensor(START), 5)
    for ours, theirs in ((found.params, w), (found.memory, z), (found.outer, a)):
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


def test_a_run_that_diverges_says_where():
    with (
        pytest.raises(ConvergenceError, match="SOBA: the outer variables are not finite after step [0-9]+"),
        np.errstate(all="ignore"),
    ):
        SOBA(inner_lr=50.0, outer_lr=50.0).run(problem(), ho.tensor(START), 2000)


def test_a_run_can_be_differentiated_mapped_and_compiled():
    method = SOBA(inner_lr=0.5, outer_lr=0.1)

    def end(a):
        return method.run(problem(), a, 4).outer

    # Every step is linear in its start, so differences are exact.
    jacobian = ho.func.jacrev(end)(ho.tensor(START)).numpy()
    for i, unit in enumerate(np.eye(3)):
        difference = end(ho.tensor(START + unit)) - end(ho.tensor(START))
        np.testing.assert_allclose(jacobian[:, i], difference.numpy(), rtol=1e-10, atol=1e-12)
    both = np.stack([START, 2 * START])
    exact = [end(ho.tensor(a)).numpy() for a in both]
    np.testing.assert_allclose(ho.func.vmap(end)(ho.tensor(both)).numpy(), exact, rtol=1e-12)
    np.testing.assert_allclose([ho.compile(end)(ho.tensor(a)).numpy() for a in both], exact, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: SOBA(inner_lr=0.0, outer_lr=0.1), "SOBA: inner_lr is 0.0, expected a finite number above 0"),
        (lambda: AmIGO(inner_lr=0.1, outer_lr=0.1, system_steps=0), "AmIGO: system_steps is 0"),
        (lambda: SABA(inner_lr=0.1, outer_lr=0.1, counts=(2, 3)), r"counts is \(2, 3\), but there are no `outer_batch"),
        (
            lambda: SABA(inner_lr=0.1, outer_lr=0.1, counts=(2, 1)).run(problem(), ho.ones(3), 1),
            "the problem has no `batches`",
        ),
        (lambda: FSLA(inner_lr=0.1, outer_lr=0.1, share=0.0), r"FSLA: share is 0.0, expected a number in \(0, 1\]"),
        (lambda: StocBiO(inner_lr=0.1, outer_lr=0.1, system_lr=0.0), "StocBiO: system_lr is 0.0"),
        (lambda: MRBO(inner_lr=0.1, outer_lr=0.1, offset=0.0), "MRBO: offset is 0.0"),
        (lambda: F2SA(inner_lr=0.1, outer_lr=0.1, multiplier=0.0), "F2SA: multiplier is 0.0"),
        (lambda: BOME(inner_lr=0.1, outer_lr=0.1, control=0.0), "BOME: control is 0.0"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()
