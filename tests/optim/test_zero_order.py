"""Estimates from values alone: their expectations in closed form, and what truncation does to them."""

import dataclasses

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim import SGD
from optim.hyper import PES, Bilevel, Reverse, ZeroOrder, hypergradient

A = ho.tensor([0.7, -1.3])
CUBE = Bilevel(
    lambda w, a: (w**2).sum(), lambda w, a: (a**3).sum() + a[0] * a[1], ho.ones(1), optimizer=SGD(lr=0.1, momentum=0.5)
)


def within_four_errors(draws, expected):
    draws = np.asarray(draws)
    error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - expected) < 4 * error)
    # The mean is known well enough for the test to tell a wrong factor.
    assert np.all(4 * error < 0.5 * np.abs(expected))


@pytest.mark.parametrize("form", ["plain", "forward", "antithetic"])
@pytest.mark.parametrize("sigma", [0.5, 1.5])
@pytest.mark.parametrize("samples", [1, 4])
def test_the_mean_is_the_gradient_of_the_smoothed_loss(form, sigma, samples):
    random = np.random.default_rng(3)
    method = ZeroOrder(steps=1, sigma=sigma, samples=samples * 50, form=form, seed=random)
    draws = [hypergradient(CUBE, A, method).hypergrad.numpy() for _ in range(160)]
    a = A.numpy()
    # E (a + s e)^3 = a^3 + 3 s^2 a , so the noise adds 3 s^2 to the gradient.
    within_four_errors(draws, 3 * a**2 + 3 * sigma**2 + a[::-1])


def test_value_and_antithetic_estimate_of_a_quadratic_direction_by_direction():
    problem = Bilevel(lambda w, a: ((w - a) ** 2).sum(), lambda w, a: (w**2).sum(), ho.zeros(2), optimizer=SGD(lr=0.25))
    exact = hypergradient(problem, A, Reverse(3))
    found = hypergradient(problem, A, ZeroOrder(steps=3, sigma=2.0, samples=3, seed=5))
    assert float(found.value) == pytest.approx(float(exact.value), rel=1e-14)
    # For a quadratic loss the difference of a pair is the slope along its noise, whatever sigma is.
    noise = np.random.default_rng(5).standard_normal((3, 2))
    expected = (noise * (noise @ exact.hypergrad.numpy())[:, None]).mean(0)
    np.testing.assert_allclose(found.hypergrad.numpy(), expected, rtol=1e-12)
    assert found.info.inner_gradients == 3 * 7


@pytest.mark.parametrize("form", ["plain", "forward", "antithetic"])
def test_one_estimate_is_its_formula_written_out(form):
    def loss(a):  # a step of rate 0.1 on w^2 leads from 1 to 0.8
        return (a**3).sum() + a[0] * a[1] + 0.64 * a[0]

    problem = dataclasses.replace(CUBE, outer_loss=lambda w, a: CUBE.outer_loss(w, a) + (w**2).sum() * a[0])
    a, sigma = A.numpy(), 0.7
    noise = np.random.default_rng(9).standard_normal((5, 2))
    estimates = []
    for e in noise:
        up, here, down = loss(a + sigma * e), loss(a), loss(a - sigma * e)
        scale = {"plain": up / sigma, "forward": (up - here) / sigma, "antithetic": (up - down) / (2 * sigma)}[form]
        estimates.append(scale * e)
    value, found, info = hypergradient(problem, A, ZeroOrder(1, sigma=sigma, samples=5, form=form, seed=9))
    np.testing.assert_allclose(found.numpy(), np.mean(estimates, axis=0), rtol=1e-12)
    assert float(value) == pytest.approx(loss(a), rel=1e-13)
    assert info.inner_gradients == (11 if form == "antithetic" else 6)


def test_one_estimate_of_persistent_strategies_is_its_formula_written_out():
    sigma, lr, a = 0.7, 0.25, A.numpy()
    random = np.random.default_rng(3)
    runs = {sign: np.ones((4, 2)) for sign in (1, -1)}
    summed, estimates, values = np.zeros((4, 2)), [], []
    for _ in range(3):
        noise = random.standard_normal((4, 2))
        summed = summed + noise
        losses = {}
        for sign, w in runs.items():
            for _ in range(2):
                w = w - lr * 2 * (w - a - sign * sigma * noise)
            runs[sign], losses[sign] = w, (w**3).sum(1)
        estimates.append(((losses[1] - losses[-1])[:, None] / (2 * sigma) * summed).mean(0))
        values.append((losses[1].mean() + losses[-1].mean()) / 2)
    problem = Bilevel(lambda w, a: ((w - a) ** 2).sum(), lambda w, a: (w**3).sum(), ho.ones(2), SGD(lr=lr))
    value, found, info = hypergradient(problem, A, PES(6, window=2, sigma=sigma, samples=4, seed=3))
    np.testing.assert_allclose(found.numpy(), np.mean(estimates, axis=0), rtol=1e-12)
    assert float(value) == pytest.approx(np.mean(values), rel=1e-12)
    assert info.inner_gradients == 2 * 4 * 6


def test_what_the_forms_take_out_of_the_variance():
    spread = {}
    for form in ("plain", "forward", "antithetic"):
        method = ZeroOrder(steps=1, sigma=0.05, samples=4, form=form, seed=np.random.default_rng(0))
        spread[form] = np.std([hypergradient(CUBE, A, method).hypergrad.numpy()[0] for _ in range(200)])
    assert spread["plain"] > 3 * max(spread["forward"], spread["antithetic"])
    even = Bilevel(lambda w, a: (w**2).sum(), lambda w, a: (a**2).sum(), ho.ones(1), optimizer=SGD(lr=0.1))
    found = {f: hypergradient(even, A * 0, ZeroOrder(1, form=f)).hypergrad.numpy() for f in ("forward", "antithetic")}
    assert np.all(np.abs(found["forward"]) > 1e-3)
    np.testing.assert_allclose(found["antithetic"], 0, atol=1e-15)


LINEAR = Bilevel(
    lambda w, o: ((w - o["aim"]) ** 2).sum(),
    lambda w, o: (w * ho.tensor([1.0, 2.0])).sum(),
    init=lambda o: o["start"] * 2,
    optimizer=SGD(lr=0.1, momentum=0.5),
)
OUTER = {"aim": ho.tensor([0.5, -1.0]), "start": ho.tensor([1.0, 3.0])}


def mean_over_windows(steps, window):
    parts = [hypergradient(LINEAR, OUTER, Reverse(k)).hypergrad for k in range(window, steps + 1, window)]
    return ho.tree.map(lambda *gradients: sum(gradients) / len(gradients), *parts)


@pytest.mark.parametrize("window", [1, 3, 6])
def test_persistent_strategies_are_unbiased_however_short_the_windows(window):
    # All is linear, so smoothing changes nothing.
    random = np.random.default_rng(window)
    method = PES(steps=6, window=window, sigma=1.5, samples=2000, seed=random)
    draws = [hypergradient(LINEAR, OUTER, method).hypergrad for _ in range(100)]
    exact = mean_over_windows(6, window)
    for name in OUTER:
        within_four_errors([d[name].numpy() for d in draws], exact[name].numpy())


def test_with_the_noise_of_the_last_window_alone_they_would_not_be():
    random = np.random.default_rng(1)
    method = PES(steps=6, window=1, sigma=1.5, samples=50, seed=random)
    draws = []
    for _ in range(100):
        particles = method.start(LINEAR, OUTER)
        total = 0
        for _ in range(6):
            forgetful = dataclasses.replace(particles, noise=ho.tree.map(lambda e: 0 * e, particles.noise))
            result, particles = method.advance(LINEAR, OUTER, forgetful)
            total = total + result.hypergrad["aim"].numpy() / 6
        draws.append(total)
    error = np.std(draws, axis=0, ddof=1) / 10
    assert np.all(np.abs(np.mean(draws, axis=0) - mean_over_windows(6, 1)["aim"].numpy()) > 6 * error)


def test_persistent_strategies_go_on_while_the_outer_variables_change():
    method = PES(steps=0, window=2, sigma=0.3, samples=20, seed=np.random.default_rng(0))
    loss = lambda w, lr: (w**2).sum()  # noqa: E731
    problem = Bilevel(loss, loss, ho.ones(2), optimizer=lambda lr: SGD(lr=lr))
    rate = ho.tensor(0.01)
    particles = method.start(problem, rate)
    for _ in range(4):
        result, particles = method.advance(problem, rate, particles)
        rate = rate - 0.003 * result.hypergrad
    assert particles.number == result.info.inner_steps == 8
    assert float(rate) > 0.011


def test_draws_are_those_of_the_seed():
    first, again, other = (
        hypergradient(CUBE, A, ZeroOrder(steps=1, seed=seed)).hypergrad.numpy().tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_single_precision_stays():
    start = ho.zeros(2, dtype=np.float32)
    problem = Bilevel(lambda w, a: ((w - a) ** 2).sum(), lambda w, a: w.sum(), start, SGD(lr=0.1))
    outer = ho.ones(2, dtype=np.float32)
    for method in (ZeroOrder(steps=2), PES(steps=2, window=1)):
        found = hypergradient(problem, outer, method)
        assert found.hypergrad.dtype == np.float32


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ZeroOrder(steps=1, sigma=0.0), "ZeroOrder: sigma is 0.0, expected a finite number above 0"),
        (lambda: ZeroOrder(steps=1, samples=0), "ZeroOrder: samples is 0, expected a whole number of at least 1"),
        (lambda: ZeroOrder(steps=1, form="central"), "form is 'central', expected one of 'plain'"),
        (lambda: PES(steps=5, window=2), "steps is 5, expected a multiple of window, which is 2"),
        (lambda: PES(steps=4, window=0), "PES: window is 0"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()
