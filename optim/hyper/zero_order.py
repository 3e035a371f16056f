"""Hypergradients from values of the outer loss alone: Gaussian smoothing, and persistent evolution strategies."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from hograd import as_tensor, func, tree
from hograd.core.replay import repeated, undone
from hograd.errors import ArgumentError
from optim.hyper.forward import _floating
from optim.hyper.problem import Bilevel, Hypergradient, Info, expect_count, train

FORMS = ("plain", "forward", "antithetic")


@dataclasses.dataclass(frozen=True)
class ZeroOrder:
    """The gradient of the outer loss smoothed by Gaussian noise, from its values at random points near.

    With J(outer) the outer loss after training and e ~ N(0, 1), it estimates  grad E[J(outer + sigma e)] , by means of

        "plain"       J(outer + sigma e) e / sigma
        "forward"     (J(outer + sigma e) - J(outer)) e / sigma
        "antithetic"  (J(outer + sigma e) - J(outer - sigma e)) e / (2 sigma)

    All three are unbiased for any sigma; the variance of the first grows as 1 / sigma^2 where sigma is small, and the
    last is free of all even terms of J. All trainings run in one batch, by `vmap`. Neither loss needs a derivative by
    the outer variables. Random draws in the losses are the same in all trainings, those of J(outer): differences are
    due to the noise alone, and what is estimated is the gradient that `Reverse` finds with these draws. Source:
    Nesterov and Spokoiny (2017).

    Args:
        steps: number of inner steps, >= 0.
        sigma: standard deviation of the noise, > 0.
        samples: number of draws of the noise, >= 1; "antithetic" trains twice for each.
        form: "plain", "forward" or "antithetic".
        seed: of the noise: a whole number, which draws the same each time, or a NumPy generator, which goes on.

    `value` is J(outer), without noise.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Bilevel, hypergradient
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: w, init=ho.tensor(0.0), optimizer=SGD(lr=0.25))
    >>> value, hypergrad, info = hypergradient(problem, ho.tensor(1.0), ZeroOrder(steps=2, sigma=0.5, samples=2000))
    >>> value, abs(hypergrad.item() - 0.75) < 0.1
    (tensor(0.7500), True)
    """

    steps: int
    sigma: float = 0.1
    samples: int = 10
    form: str = "antithetic"
    seed: int | np.random.Generator = 0

    def __post_init__(self) -> None:
        expect_count("ZeroOrder: steps", self.steps)
        _expect_noise("ZeroOrder", self.sigma, self.samples)
        if self.form not in FORMS:
            raise ArgumentError(f"ZeroOrder: form is {self.form!r}, expected one of {', '.join(map(repr, FORMS))}.")

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The hypergradient of `problem` at `outer`."""

        def judged(outer: Any) -> Any:
            return problem.outer_loss(train(problem, outer, self.steps)[0], outer)

        draws = repeated()
        with draws():
            params, state = train(problem, outer, self.steps)
            value = problem.outer_loss(params, outer)
        noise = _noise(outer, self.samples, self.seed)
        shifts = [self.sigma, -self.sigma] if self.form == "antithetic" else [self.sigma]
        values = []
        for shift in shifts:
            with draws():
                values.append(func.vmap(judged, randomness="same")(_shifted(outer, noise, shift)))
        if self.form == "antithetic":
            weights = (values[0] - values[1]) / (2 * self.sigma)
        elif self.form == "forward":
            weights = (values[0] - value) / self.sigma
        else:
            weights = values[0] / self.sigma
        hypergrad = tree.map(lambda x, e: _weighted(weights, e).astype(x.dtype), outer, noise)
        gradients = self.steps * (1 + len(shifts) * self.samples)
        info = Info(tree.detach(params), tree.detach(state), self.steps, gradients, memory=0)
        return Hypergradient(value, hypergrad, info)


@dataclasses.dataclass(frozen=True)
class Particles:
    """Trainings on their way in persistent evolution strategies, in antithetic pairs.

    Attributes:
        runs: for each sign of the noise, parameters and floating tensors of the state, a first axis for the samples;
            None before the first window.
        whole: puts a state together from its floating tensors.
        noise: all that has been added to the outer variables so far, summed up for every sample.
        number: steps taken.
    """

    runs: tuple[Any, Any] | None
    whole: Any
    noise: Any
    number: int = 0


@dataclasses.dataclass(frozen=True)
class PES:
    """Persistent evolution strategies: unbiased from short pieces of training (Vicol et al., 2021).

    Training is cut into windows. Each sample trains on with outer variables that are moved by fresh noise in every
    window, e_k = sigma N(0, 1), and the loss L_k at the window's end is multiplied by the sum of all noise so far:

        estimate = mean over windows and samples of  (e_1 + ... + e_k) L_k / sigma^2 ,  in antithetic pairs.

    Its expectation is the gradient of the mean of the outer losses at all windows' ends, smoothed by the noise. The
    same estimate with the noise of the last window alone would be biased, as truncated reverse mode is. Random draws in
    the losses are the same for all samples, as in `ZeroOrder`.

    Args:
        steps: number of inner steps; a multiple of `window`.
        window: steps in one piece, >= 1.
        sigma: standard deviation of the noise, > 0.
        samples: number of antithetic pairs, >= 1.
        seed: of the noise: a whole number, which draws the same each time, or a NumPy generator, which goes on.

    `value` is the mean outer loss over windows and samples. To change the outer variables while training goes on, use
    `start` and `advance`, with a generator as the seed.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Bilevel, hypergradient
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: w, init=ho.tensor(0.0), optimizer=SGD(lr=0.25))
    >>> method = PES(steps=2, window=1, sigma=0.5, samples=4000)
    >>> _, hypergrad, _ = hypergradient(problem, ho.tensor(1.0), method)
    >>> abs(hypergrad.item() - (0.5 + 0.75) / 2) < 0.1
    True
    """

    steps: int
    window: int
    sigma: float = 0.1
    samples: int = 10
    seed: int | np.random.Generator = 0

    def __post_init__(self) -> None:
        expect_count("PES: steps", self.steps)
        expect_count("PES: window", self.window, 1)
        if self.steps % self.window:
            raise ArgumentError(f"PES: steps is {self.steps}, expected a multiple of window, which is {self.window}.")
        _expect_noise("PES", self.sigma, self.samples)

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The hypergradient of `problem` at `outer`."""
        method = dataclasses.replace(self, seed=np.random.default_rng(self.seed))
        particles = method.start(problem, outer)
        windows = self.steps // self.window
        total = tree.map(lambda x: x * 0, outer)
        value = as_tensor(0.0)
        with undone():
            params = tree.detach(problem.start(outer)[0])
        for _ in range(windows):
            result, particles = method.advance(problem, outer, particles)
            value = value + result.value / windows
            total = tree.map(lambda x, g: x + g / windows, total, result.hypergrad)
            params = result.info.params
        info = Info(params, None, self.steps, 2 * self.samples * self.steps, memory=0, warm_start=particles)
        return Hypergradient(value, total, info)

    def start(self, problem: Bilevel, outer: Any) -> Particles:
        """The samples before the first window.

        Args:
            problem: the bilevel problem.
            outer: tree of outer variables.
        """
        outer = tree.map(as_tensor, outer)
        return Particles(None, None, tree.map(lambda e: e * 0, _noise(outer, self.samples, 0)))

    def advance(self, problem: Bilevel, outer: Any, particles: Particles) -> tuple[Hypergradient, Particles]:
        """One window: the estimate for the loss at its end, and the samples there.

        Args:
            problem: the bilevel problem.
            outer: tree of outer variables; it may have other values than in the window before.
            particles: from `start` or `advance`.
        """
        outer = tree.map(as_tensor, outer)
        noise = _noise(outer, self.samples, self.seed)
        whole = []

        def unroll(outer: Any, *run: Any) -> Any:
            if run:
                params, optimizer, state = run[0], problem.optimizer_of(outer), particles.whole(run[1])
            else:
                params, optimizer = problem.start(outer)
                state = optimizer.init(params)
            for number in range(particles.number, particles.number + self.window):
                params, state = problem.step(params, outer, optimizer, state, number)
            floating, put_together = _floating(state)
            whole.append(put_together)
            return problem.outer_loss(params, outer), (params, floating)

        ends, draws = [], repeated()
        for shift, run in zip((self.sigma, -self.sigma), particles.runs or ((), ()), strict=True):
            with draws():
                ends.append(func.vmap(unroll, randomness="same")(_shifted(outer, noise, shift), *run))
        persistent = tree.map(lambda x, e: x + e, particles.noise, noise)
        weights = (ends[0][0] - ends[1][0]) / (2 * self.sigma)
        hypergrad = tree.map(lambda x, e: _weighted(weights, e).astype(x.dtype), outer, persistent)
        value = (ends[0][0].mean() + ends[1][0].mean()) / 2
        moved = Particles((ends[0][1], ends[1][1]), whole[0], persistent, particles.number + self.window)
        params = tree.map(lambda x: x[0], ends[0][1][0])
        gradients = 2 * self.samples * self.window
        info = Info(tree.detach(params), None, moved.number, gradients, memory=0, warm_start=moved)
        return Hypergradient(value, hypergrad, info), moved


def _expect_noise(name: str, sigma: float, samples: int) -> None:
    expect_count(f"{name}: samples", samples, 1)
    if not 0 < sigma < math.inf:
        raise ArgumentError(f"{name}: sigma is {sigma}, expected a finite number above 0.")


def _noise(outer: Any, samples: int, seed: int | np.random.Generator) -> Any:
    """Standard normal trees like `outer`, along a first axis."""
    random = np.random.default_rng(seed)
    return tree.map(lambda x: as_tensor(random.standard_normal((samples, *x.shape)).astype(x.dtype)), outer)


def _shifted(outer: Any, noise: Any, shift: float) -> Any:
    return tree.map(lambda x, e: x + shift * e, outer, noise)


def _weighted(weights: Any, noise: Any) -> Any:
    return (weights.reshape((-1,) + (1,) * (noise.ndim - 1)) * noise).mean(0)
