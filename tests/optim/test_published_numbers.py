"""Numbers that papers print, computed again."""

import numpy as np
import pytest

import hograd as ho
from optim import SGD
from optim.hyper import CG, Bilevel, Dense, FixedPoint, Implicit, Reverse, Truncated, hypergradient, train


def grazzi():
    """The logistic regression of the notebook that belongs to Grazzi et al. (2020): its data, its losses, its step."""
    random = np.random.RandomState(1)
    w = random.randn(20)
    x = random.randn(1000, 20)
    y = (x @ w + 0.1 * random.randn(1000) > 0) * 1.0
    # As train_test_split(x, y, test_size=0.5) of scikit-learn draws them.
    order = random.permutation(1000)
    held_x, held_y, x, y = map(ho.tensor, (x[order[:500]], y[order[:500]], x[order[500:]], y[order[500:]]))
    loss = ho.binary_cross_entropy_with_logits
    return Bilevel(
        lambda w, h: loss(x @ w, y) + 0.5 * (h * w**2).sum(),
        lambda w, h: loss(held_x @ w, held_y),
        init=ho.zeros(20),
        optimizer=SGD(lr=0.1),
    )


INNER = {0: 0.6931472421, 10: 0.6285591125, 20: 0.6243906021, 99: 0.6240898371}
OUTER = {0: 0.5743989944, 10: 0.5337678790, 20: 0.3615218699, 30: 0.3225042522, 40: 0.2987646163}


def test_grazzi_2020_inner_losses():
    problem, h = grazzi(), ho.ones(20)
    for steps, printed in INNER.items():
        params, _ = train(problem, h, steps)
        assert float(problem.inner_loss(params, h)) == pytest.approx(printed, abs=2e-6)


def test_grazzi_2020_validation_losses():
    problem, h, optimizer = grazzi(), ho.ones(20), SGD(lr=1.0, momentum=0.9)
    state = optimizer.init(h)
    for number in range(41):
        value, slope, _ = hypergradient(problem, h, Truncated(steps=100, last=10))
        if number in OUTER:
            assert float(value) == pytest.approx(OUTER[number], abs=2e-6)
        h, state = optimizer.step(h, slope, state)
        h = ho.clamp(h, min=1e-8)


def test_grazzi_2020_rates_of_the_estimators():
    """Reverse mode and the fixed point iteration lose about the same share of the error a step; CG is at the floor."""
    problem, h = grazzi(), ho.ones(20)
    exact = hypergradient(problem, h, Implicit(Dense(), steps=600)).hypergrad.numpy()

    def error(method):
        found = hypergradient(problem, h, method).hypergrad.numpy()
        return np.linalg.norm(found - exact) / np.linalg.norm(exact)

    for method in (Reverse, lambda k: Implicit(FixedPoint(k), steps=k)):
        rate = (error(method(100)) / error(method(75))) ** (1 / 25)
        assert rate == pytest.approx(0.885, abs=0.007)
    # What 100 inner steps leave is all that is wrong, however well the system is solved.
    floor = error(Implicit(Dense(), steps=100))
    assert error(Implicit(CG(steps=5), steps=100)) == pytest.approx(floor, rel=0.02)
    assert error(Implicit(FixedPoint(5), steps=100)) > 1e5 * floor
