"""What the bilevel algorithms on samples share: where they are, the batches they draw, and the products they take."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd import Tensor, func, tree, zeros_like
from hograd.core.replay import repeated
from hograd.errors import ArgumentError, ConvergenceError
from optim.hyper.problem import Bilevel, expect_count
from optim.parameters import floating
from optim.summary import summary


@dataclasses.dataclass(frozen=True, repr=False)
class Position:
    """Where an algorithm is.

    Attributes:
        params: the inner variables w.
        outer: the outer variables.
        adjoint: the estimate of v, the solution of  (d2f/dw2) v = grad_w E , a tree like `params`.
        memory: what else the algorithm remembers; None for most.
        number: steps taken.
        drawn: batches taken of each loss, inner and outer.
    """

    params: Any
    outer: Any
    adjoint: Any
    memory: Any = None
    number: int = 0
    drawn: tuple[int, int] = (0, 0)

    __repr__ = summary


class Sampler:
    """The losses of a problem on one fresh sample after the other: a batch, and what the loss draws at random.

    However often a loss that it gives is evaluated or differentiated, it is one sample.
    """

    def __init__(self, problem: Bilevel, outer_batches: Callable[[int], Any] | None, drawn: tuple[int, int]) -> None:
        self.problem = problem
        self.outer_batches = outer_batches
        self.begun = drawn
        self.inner_drawn, self.outer_drawn = drawn
        self.samples: list[Callable[[Any, Any], Any]] = []
        self.taken = 0

    def again(self) -> Sampler:
        """The same samples once more, to be asked for in the same order."""
        other = Sampler(self.problem, self.outer_batches, self.begun)
        other.samples = self.samples
        return other

    def inner(self, number: int | None = None) -> Callable[[Any, Any], Any]:
        """The inner loss on the next batch, or on that of a number."""
        batches, number = self.problem.batches, self.inner_drawn if number is None else number
        self.inner_drawn += 1
        return self._sample(self.problem.inner_loss, batches, number)

    def outer(self, number: int | None = None) -> Callable[[Any, Any], Any]:
        """The outer loss on the next batch, or on that of a number."""
        batches, number = self.outer_batches, self.outer_drawn if number is None else number
        self.outer_drawn += 1
        return self._sample(self.problem.outer_loss, batches, number)

    def _sample(self, loss: Callable[..., Any], batches: Any, number: int) -> Callable[[Any, Any], Any]:
        self.taken += 1
        if self.taken > len(self.samples):
            batch, draws = () if batches is None else (batches(number),), repeated()

            def sample(params: Any, outer: Any) -> Any:
                with draws():
                    return loss(params, outer, *batch)

            self.samples.append(sample)
        return self.samples[self.taken - 1]

    def hessian(self, params: Any, outer: Any, v: Any) -> Any:
        """(d2f/dw2) v on the next batch."""
        loss = self.inner()
        return func.hvp(lambda w: loss(w, outer), params, v)

    def outer_slope(self, params: Any, outer: Any, v: Any, direct: Any) -> Any:
        """direct - (d2f/d(outer)dw) v on the next batch."""
        loss = self.inner()
        _, pull = func.vjp(lambda outer: func.grad(loss)(params, outer), outer)
        return minus(direct, pull(v)[0])

    def descended(self, params: Any, outer: Any, lr: float, steps: int) -> Any:
        """The inner variables after some steps of stochastic gradient descent."""
        for _ in range(steps):
            params = minus(params, func.grad(self.inner())(params, outer), lr)
        return params

    def series(self, params: Any, outer: Any, right: Any, lr: float, terms: int) -> Any:
        """lr sum_{q < terms} (1 - lr d2f/dw2)^q right ,  a new batch for every product."""
        term, total = right, right
        for _ in range(terms - 1):
            term = minus(term, self.hessian(params, outer, term), lr)
            total = tree.map(lambda x, y: x + y, total, term)
        return tree.map(lambda x: lr * x, total)

    def product(self, params: Any, outer: Any, right: Any, lr: float, terms: int, length: int) -> Any:
        """terms * lr * prod_{j <= length} (1 - lr d2f_j/dw2) right , the series on average over lengths < terms."""
        term = right
        for _ in range(length):
            term = minus(term, self.hessian(params, outer, term), lr)
        return tree.map(lambda x: terms * lr * x, term)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Algorithm:
    """What the algorithms have in common.

    Args:
        inner_lr: rate of the inner variables, > 0.
        outer_lr: rate of the outer variables, >= 0.
        outer_batches: function of the number of a batch that returns what the outer loss gets as its third argument;
            the inner loss gets those of the problem's `batches`.
    """

    inner_lr: float
    outer_lr: float
    outer_batches: Callable[[int], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("inner_lr", "outer_lr"):
            value = getattr(self, name)
            if not 0 <= value < math.inf or (name == "inner_lr" and value == 0):
                least = "above 0" if name == "inner_lr" else "of at least 0"
                raise ArgumentError(f"{type(self).__name__}: {name} is {value}, expected a finite number {least}.")

    def init(self, problem: Bilevel, outer: Any) -> Position:
        """Before the first step: the problem's first parameters, and v = 0."""
        outer = floating("outer", outer)
        params = problem.first(outer)
        return Position(params, outer, tree.map(zeros_like, params))

    def step(self, problem: Bilevel, at: Position) -> Position:
        """One step of inner and outer variables, as a pure function."""
        sampler = Sampler(problem, self.outer_batches, at.drawn)
        moved = self.move(sampler, at)
        drawn = (sampler.inner_drawn, sampler.outer_drawn)
        return dataclasses.replace(moved, number=at.number + 1, drawn=drawn)

    def run(self, problem: Bilevel, outer: Any, steps: int) -> Position:
        """`steps` steps from the start.

        Args:
            problem: the bilevel problem.
            outer: where to begin: a tree of floating tensors or numbers.
            steps: number of steps, >= 0.

        Returns:
            The last `Position`.

        Raises:
            ConvergenceError: the outer variables are not finite.
        """
        expect_count("steps", steps)
        at = self.init(problem, outer)
        for number in range(steps):
            at = self.step(problem, at)
            # What is mapped or compiled has no numbers to look at yet.
            if any(type(x) is Tensor and not bool(x.isfinite().all()) for x in tree.leaves(at.outer)):
                raise ConvergenceError(
                    f"{type(self).__name__}: the outer variables are not finite after step {number}. Lower outer_lr, "
                    "or inner_lr where the inner training diverges."
                )
        return at

    def move(self, sampler: Sampler, at: Position) -> Position:
        """The new variables, adjoint and memory."""
        raise NotImplementedError(f"{type(self).__name__} does not define move().")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BySeries(Algorithm):
    """Algorithms that compute v from the terms of a Neumann series.

    Args:
        system_steps: number of terms, or of iterations, >= 1.
        system_lr: > 0, below 1 / the largest eigenvalue of the Hessian; by default `inner_lr`.
    """

    system_steps: int = 10
    system_lr: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        expect_count(f"{name}: system_steps", self.system_steps, 1)
        if self.system_lr is not None and not 0 < self.system_lr < math.inf:
            raise ArgumentError(f"{name}: system_lr is {self.system_lr}, expected a finite number above 0.")

    @property
    def rate_of_system(self) -> float:
        """The rate of the series."""
        return self.inner_lr if self.system_lr is None else self.system_lr


def random_length(seed: int, number: int, terms: int) -> int:
    """Uniform below `terms`; drawn from the number of the step as well, so that a step is a function of its start."""
    return int(np.random.default_rng([seed, number]).integers(terms))


def minus(x: Any, slope: Any, lr: float = 1.0) -> Any:
    """x - lr * slope , leaf by leaf."""
    return tree.map(lambda x, g: x - lr * g, x, slope)
