"""The outer loop and the comparison of estimators."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, ConvergenceError
from optim import SGD, Adam
from optim.hyper import (
    CG,
    Bilevel,
    Dense,
    FixedPoint,
    Identity,
    Implicit,
    Neumann,
    Nystrom,
    Reverse,
    Truncated,
    ZeroOrder,
    bilevel,
    diagnose,
    hypergradient,
)

RNG = np.random.default_rng(9)
X, Y = RNG.normal(size=(20, 5)), RNG.normal(size=20)
HELD_X = RNG.normal(size=(30, 5))
HELD_Y = HELD_X @ np.linalg.lstsq(X, Y, rcond=None)[0] * 0.5 + 0.1 * RNG.normal(size=30)


def solve(log_l2):
    return np.linalg.solve(X.T @ X / 20 + np.exp(log_l2) * np.eye(5), X.T @ Y / 20)


def held_out(log_l2):
    return ((HELD_X @ solve(log_l2) - HELD_Y) ** 2).mean()


RIDGE = Bilevel(
    lambda w, a: 0.5 * ((ho.tensor(X) @ w - ho.tensor(Y)) ** 2).mean() + 0.5 * ho.exp(a) * (w**2).sum(),
    lambda w, a: ((ho.tensor(HELD_X) @ w - ho.tensor(HELD_Y)) ** 2).mean(),
    init=ho.zeros(5),
    optimizer=SGD(lr=0.3),
)
GRID = np.linspace(-6, 3, 2001)
BEST = GRID[np.argmin([held_out(a) for a in GRID])]


@pytest.mark.parametrize("warm_start", [False, True])
def test_the_best_ridge_penalty_is_found(warm_start):
    method = Implicit(CG(), steps=20 if warm_start else 150)
    found = bilevel(RIDGE, ho.tensor(-3.0), Adam(lr=0.1), method, steps=120, warm_start=warm_start)
    assert float(found.outer) == pytest.approx(BEST, abs=0.02)
    assert float(found.value) == pytest.approx(held_out(BEST), rel=1e-3 if warm_start else 1e-4)
    assert found.history[found.best] == float(found.value) == min(found.history)
    assert len(found.history) == 121
    assert found.stopped == "steps"
    np.testing.assert_allclose(found.info.params.numpy(), solve(float(found.outer)), atol=2e-3)


def test_a_warm_start_reaches_with_few_inner_steps_what_a_cold_one_does_not():
    def distance(warm_start):
        last = []
        bilevel(
            RIDGE,
            ho.tensor(-3.0),
            Adam(lr=0.1),
            Implicit(CG(), steps=5),
            150,
            warm_start=warm_start,
            callback=lambda number, outer, result: last.append(float(outer)),
        )
        return abs(last[-1] - BEST)

    assert distance(True) < 0.02 < distance(False)


def test_patience_callback_and_projection():
    method = Implicit(CG(), steps=150)
    found = bilevel(RIDGE, BEST, SGD(lr=0.0), method, steps=50, patience=3)
    assert (found.stopped, len(found.history)) == ("patience", 4)
    seen = []

    def watch(number, outer, result):
        seen.append((number, float(result.value)))
        return number == 2

    found = bilevel(RIDGE, -3.0, SGD(lr=0.1), method, callback=watch)
    assert found.stopped == "callback"
    assert [n for n, _ in seen] == [0, 1, 2]
    assert [v for _, v in seen] == found.history
    found = bilevel(RIDGE, -3.0, SGD(lr=100.0), method, steps=3, project=lambda a: ho.clamp(a, -3.5, -2.5))
    assert -3.5 <= float(found.outer) <= -2.5


def test_no_step_and_a_progress_bar(capsys):
    found = bilevel(RIDGE, -1.0, SGD(lr=0.1), Implicit(CG(), steps=150), steps=0, progress=True)
    assert float(found.value) == pytest.approx(held_out(-1.0), rel=1e-8)
    assert "1/1" in capsys.readouterr().err


def test_a_loop_that_diverges_says_where():
    with pytest.raises(ConvergenceError, match=r"bilevel: in outer step 0: .*The inner training diverges: from step 0"):
        bilevel(RIDGE, ho.tensor(8.0), SGD(lr=0.1), Reverse(300), steps=5)


def test_diagnosis_tells_error_direction_and_cost():
    exact = Implicit(Dense(), steps=400)
    outer = ho.tensor(-1.0)
    methods = {
        "cg": Implicit(CG(), steps=400),
        "neumann": Implicit(Neumann(3, lr=0.3), steps=400),
        "identity": Implicit(Identity(), steps=400),
        "truncated": Truncated(400, last=3),
        "smoothed": ZeroOrder(steps=400, sigma=0.1, samples=2, seed=np.random.default_rng(0)),
        "far off": Implicit(Nystrom(1, damping=1e-4), steps=400),
        "diverging": Implicit(Neumann(50, lr=10.0), steps=400),
    }
    found = diagnose(RIDGE, outer, methods, exact, repeats=3)
    rows = {row.name: row for row in found.rows}
    assert list(rows) == list(methods)
    assert rows["cg"].error < 1e-9
    assert rows["cg"].cosine == pytest.approx(1)
    assert rows["cg"].hessian_products == 6
    assert rows["truncated"].error == pytest.approx(
        hypergradient_error(Implicit(FixedPoint(3), steps=400), outer, exact), rel=1e-6
    )
    assert rows["identity"].error > rows["neumann"].error > rows["cg"].error
    assert rows["smoothed"].spread > 0 == rows["cg"].spread
    assert rows["smoothed"].inner_gradients == 400 * 5
    assert "diverges" in rows["diverging"].failure
    table = str(found).splitlines()
    assert " ".join(table[0].split()) == "method error spread cosine gradients products seconds memory residual"
    legend = "! an iteration of the method ended before it had the accuracy that it was asked for"
    assert table[8:] == ["", legend]
    table = table[:8]
    assert [line.endswith("!") for line in table] == [False] * 6 + [True, False]
    assert not rows["far off"].converged
    assert max(map(len, table)) < 160


def hypergradient_error(method, outer, exact):
    ours, theirs = (float(hypergradient(RIDGE, outer, m).hypergrad) for m in (method, exact))
    return abs(ours - theirs) / abs(theirs)


def test_a_diagnosis_is_drawn():
    methods = {
        "cg 2": Implicit(CG(steps=2), steps=400),
        "cg 1": Implicit(CG(steps=1), steps=400),
        "reverse": Reverse(400),
        "drawn": ZeroOrder(steps=400, samples=2, seed=np.random.default_rng(0)),
    }
    found = diagnose(RIDGE, -1.0, methods, Implicit(Dense(), steps=400), repeats=2)
    axes = found.plot()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["CG", "reverse", "drawn"]
    assert axes.get_yscale() == "log"
    # Of one kind, a line in the order of the cost.
    line = axes.get_lines()[0]
    assert line.get_xdata().tolist() == [row.work for row in (found.rows[1], found.rows[0])] == [403, 404]
    assert line.get_ydata().tolist() == [found.rows[1].error, found.rows[0].error]
    assert len(axes.containers) == 1
    by_memory = found.plot(cost="memory")
    assert by_memory.get_xlabel() == "bytes kept for the way back"
    assert len(by_memory.get_legend().get_texts()) == 2
    with pytest.raises(ArgumentError, match="cost is 'price', expected one of 'work', 'seconds', 'memory'"):
        found.plot(cost="price")


def test_by_default_the_truth_is_reverse_mode_through_the_longest_training():
    methods = {"short": Reverse(3), "long": Truncated(40, last=40), "cg": Implicit(CG(), steps=20)}
    rows = {row.name: row for row in diagnose(RIDGE, -1.0, methods).rows}
    short, whole = (float(hypergradient(RIDGE, -1.0, Reverse(steps)).hypergrad) for steps in (3, 40))
    assert rows["long"].error < 1e-12
    assert rows["short"].error == pytest.approx(abs(short - whole) / abs(whole))
    with pytest.raises(ArgumentError, match="none of `methods` says how many steps it trains"):
        diagnose(RIDGE, -1.0, {"solved": Implicit(CG(), solve=lambda w, a: solve(a.numpy()))})


def test_a_diagnosis_needs_something_to_be_relative_to():
    flat = Bilevel(lambda w, a: (w**2).sum(), lambda w, a: (w**2).sum(), ho.ones(2), optimizer=SGD(lr=0.1))
    with pytest.raises(ArgumentError, match="the exact hypergradient has norm 0"):
        diagnose(flat, ho.tensor(1.0), {"reverse": Reverse(2)}, exact=Reverse(2))
