"""Bilevel optimization by samples: algorithms that move inner and outer variables together, on batches of both losses.

With f the inner and E the outer loss, their gradients on a batch each, v solves  (d2f/dw2) v = grad_w E , and the outer
variables follow  grad_outer E - (d2f/d(outer)dw) v . The algorithms differ in how much work they do for w and v before
they move on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd import as_tensor, func, tree, zeros_like
from hograd.errors import ArgumentError
from optim.hyper.problem import Bilevel, expect_count


@dataclasses.dataclass(frozen=True)
class Position:
    """Where an algorithm is.

    Attributes:
        params: the inner variables w.
        outer: the outer variables.
        adjoint: the estimate of v, a tree like `params`.
        number: steps taken.
        drawn: batches taken of each loss, as the numbers that `batches` and `outer_batches` were called with.
    """

    params: Any
    outer: Any
    adjoint: Any
    number: int = 0
    drawn: tuple[int, int] = (0, 0)


class Sampler:
    """The losses of a problem on one fresh batch after the other."""

    def __init__(self, problem: Bilevel, outer_batches: Callable[[int], Any] | None, drawn: tuple[int, int]) -> None:
        self.problem = problem
        self.outer_batches = outer_batches
        self.inner_drawn, self.outer_drawn = drawn

    def inner(self) -> Callable[[Any, Any], Any]:
        """The inner loss on the next batch."""
        batches, number = self.problem.batches, self.inner_drawn
        self.inner_drawn += 1
        extra = () if batches is None else (batches(number),)
        return lambda params, outer: self.problem.inner_loss(params, outer, *extra)

    def outer(self) -> Callable[[Any, Any], Any]:
        """The outer loss on the next batch."""
        batches, number = self.outer_batches, self.outer_drawn
        self.outer_drawn += 1
        extra = () if batches is None else (batches(number),)
        loss: Callable[..., Any] = self.problem.outer_loss
        return lambda params, outer: loss(params, outer, *extra)

    def hessian(self, params: Any, outer: Any, v: Any) -> Any:
        """(d2f/dw2) v on the next batch."""
        loss = self.inner()
        return func.hvp(lambda w: loss(w, outer), params, v)

    def outer_slope(self, params: Any, outer: Any, v: Any, direct: Any) -> Any:
        """direct - (d2f/d(outer)dw) v on the next batch."""
        loss = self.inner()
        _, pull = func.vjp(lambda outer: func.grad(loss)(params, outer), outer)
        return tree.map(lambda d, c: d - c, direct, pull(v)[0])


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
                raise ArgumentError(f"{type(self).__name__}: {name} is {value}, expected a finite number above 0.")

    def init(self, problem: Bilevel, outer: Any) -> Position:
        """Before the first step: the problem's first parameters, and v = 0."""
        outer = tree.map(as_tensor, outer)
        params = tree.map(as_tensor, problem.init(outer) if callable(problem.init) else problem.init)
        return Position(params, outer, tree.map(zeros_like, params))

    def step(self, problem: Bilevel, at: Position) -> Position:
        """One step of inner and outer variables, as a pure function."""
        sampler = Sampler(problem, self.outer_batches, at.drawn)
        params, outer, adjoint = self.move(sampler, at)
        drawn = (sampler.inner_drawn, sampler.outer_drawn)
        return Position(params, outer, adjoint, at.number + 1, drawn)

    def run(self, problem: Bilevel, outer: Any, steps: int) -> Position:
        """`steps` steps from the start."""
        expect_count("steps", steps)
        at = self.init(problem, outer)
        for _ in range(steps):
            at = self.step(problem, at)
        return at

    def move(self, sampler: Sampler, at: Position) -> tuple[Any, Any, Any]:
        """The new params, outer variables and adjoint."""
        raise NotImplementedError(f"{type(self).__name__} does not define move().")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SOBA(Algorithm):
    """All three variables take one step at once, from where they all were (Dagréou et al., 2022).

    w <- w - inner_lr grad_w f ;  v <- v - inner_lr ((d2f/dw2) v - grad_w E) ;
    outer <- outer - outer_lr (grad_outer E - (d2f/d(outer)dw) v) .  The outer batch serves both its gradients.

    >>> import hograd as ho
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> SOBA(inner_lr=0.25, outer_lr=0.1).run(problem, ho.tensor(0.0), steps=300).outer
    tensor(3.0000)
    """

    def move(self, sampler: Sampler, at: Position) -> tuple[Any, Any, Any]:
        slope = func.grad(sampler.inner())(at.params, at.outer)
        right, direct = func.grad(sampler.outer(), argnums=(0, 1))(at.params, at.outer)
        bent = sampler.hessian(at.params, at.outer, at.adjoint)
        outer_slope = sampler.outer_slope(at.params, at.outer, at.adjoint, direct)
        adjoint = tree.map(lambda v, h, b: v - self.inner_lr * (h - b), at.adjoint, bent, right)
        return _minus(at.params, slope, self.inner_lr), _minus(at.outer, outer_slope, self.outer_lr), adjoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class AmIGO(Algorithm):
    """Some steps of w, then some of v, from where both were, then an outer one (Arbel and Mairal, 2022).

    Args:
        inner_steps: of stochastic gradient descent on f, >= 1.
        system_steps: of v <- v - system_lr ((d2f/dw2) v - grad_w E), >= 1, with one gradient of E for all.
        system_lr: > 0; by default `inner_lr`.

    >>> import hograd as ho
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> AmIGO(inner_lr=0.25, outer_lr=0.1, inner_steps=5, system_steps=5).run(problem, ho.tensor(0.0), steps=100).outer
    tensor(3.0000)
    """

    inner_steps: int = 10
    system_steps: int = 10
    system_lr: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_count("AmIGO: inner_steps", self.inner_steps, 1)
        expect_count("AmIGO: system_steps", self.system_steps, 1)

    def move(self, sampler: Sampler, at: Position) -> tuple[Any, Any, Any]:
        params, v = _descended(sampler, at, self.inner_lr, self.inner_steps), at.adjoint
        right, direct = func.grad(sampler.outer(), argnums=(0, 1))(params, at.outer)
        lr = self.inner_lr if self.system_lr is None else self.system_lr
        for _ in range(self.system_steps):
            bent = sampler.hessian(params, at.outer, v)
            v = tree.map(lambda v, h, b: v - lr * (h - b), v, bent, right)
        outer_slope = sampler.outer_slope(params, at.outer, v, direct)
        return params, _minus(at.outer, outer_slope, self.outer_lr), v


@dataclasses.dataclass(frozen=True, kw_only=True)
class StocBiO(Algorithm):
    """Some steps of w, then v by the Neumann series on fresh batches, then one outer step (Ji, Yang and Liang, 2021).

    v = system_lr sum_{q < system_steps} (1 - system_lr d2f/dw2)^q grad_w E ,  a new batch of f for every product.

    Args:
        inner_steps: of stochastic gradient descent on f, >= 1, from where w was.
        system_steps: terms of the series, >= 1.
        system_lr: > 0, below 1 / the largest eigenvalue of the Hessian; by default `inner_lr`.

    >>> import hograd as ho
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> StocBiO(inner_lr=0.25, outer_lr=0.1, inner_steps=5, system_steps=5).run(
    ...     problem, ho.tensor(0.0), steps=100
    ... ).outer
    tensor(3.0000)
    """

    inner_steps: int = 10
    system_steps: int = 10
    system_lr: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_count("StocBiO: inner_steps", self.inner_steps, 1)
        expect_count("StocBiO: system_steps", self.system_steps, 1)

    def move(self, sampler: Sampler, at: Position) -> tuple[Any, Any, Any]:
        params = _descended(sampler, at, self.inner_lr, self.inner_steps)
        right, direct = func.grad(sampler.outer(), argnums=(0, 1))(params, at.outer)
        lr = self.inner_lr if self.system_lr is None else self.system_lr
        term, total = right, right
        for _ in range(self.system_steps - 1):
            term = _minus(term, sampler.hessian(params, at.outer, term), lr)
            total = tree.map(lambda x, y: x + y, total, term)
        v = tree.map(lambda x: lr * x, total)
        outer_slope = sampler.outer_slope(params, at.outer, v, direct)
        return params, _minus(at.outer, outer_slope, self.outer_lr), v


@dataclasses.dataclass(frozen=True, kw_only=True)
class BSA(Algorithm):
    """Inner steps, then v by a product of random length, then one outer step (Ghadimi and Wang, 2018).

    v = system_steps * system_lr * prod_{j <= p} (1 - system_lr d2f_j/dw2) grad_w E ,  p uniform below system_steps :
    its expectation is the Neumann series of `system_steps` terms. Step k takes  inner_steps * sqrt(k + 1)  inner steps,
    rounded up, from where w was.

    Args:
        inner_steps: of stochastic gradient descent on f in the first step, >= 1.
        system_steps: terms of the series, >= 1.
        system_lr: > 0, below 1 / the largest eigenvalue of the Hessian; by default `inner_lr`.
        seed: of the lengths.

    >>> import hograd as ho
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> BSA(inner_lr=0.25, outer_lr=0.1, inner_steps=5, system_steps=5).run(problem, ho.tensor(0.0), steps=100).outer
    tensor(3.0000)
    """

    inner_steps: int = 1
    system_steps: int = 10
    system_lr: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_count(f"{type(self).__name__}: inner_steps", self.inner_steps, 1)
        expect_count(f"{type(self).__name__}: system_steps", self.system_steps, 1)

    def rates(self, number: int) -> tuple[float, float, int]:
        """Inner and outer rate and number of inner steps in step `number`, counted from 0."""
        return self.inner_lr, self.outer_lr, math.ceil(self.inner_steps * math.sqrt(number + 1))

    def move(self, sampler: Sampler, at: Position) -> tuple[Any, Any, Any]:
        inner_lr, outer_lr, steps = self.rates(at.number)
        params = _descended(sampler, at, inner_lr, steps)
        right, direct = func.grad(sampler.outer(), argnums=(0, 1))(params, at.outer)
        lr = self.inner_lr if self.system_lr is None else self.system_lr
        # Seeded by the step as well, so that a step is a function of where it starts.
        length = int(np.random.default_rng([self.seed, at.number]).integers(self.system_steps))
        term = right
        for _ in range(length):
            term = _minus(term, sampler.hessian(params, at.outer, term), lr)
        v = tree.map(lambda x: self.system_steps * lr * x, term)
        outer_slope = sampler.outer_slope(params, at.outer, v, direct)
        return params, _minus(at.outer, outer_slope, outer_lr), v


@dataclasses.dataclass(frozen=True, kw_only=True)
class TTSA(BSA):
    """One inner step and one outer step in turn, on two time scales, with v as in BSA (Hong et al., 2020).

    In step k the rates are  inner_lr / (k + 1)^(2/5)  and  outer_lr / (k + 1)^(3/5) .

    >>> import hograd as ho
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> TTSA(inner_lr=0.4, outer_lr=0.3, system_lr=0.25).run(problem, ho.tensor(0.0), steps=300).outer
    tensor(3.0000)
    """

    def rates(self, number: int) -> tuple[float, float, int]:
        """Inner and outer rate and number of inner steps in step `number`, counted from 0."""
        return self.inner_lr / (number + 1) ** 0.4, self.outer_lr / (number + 1) ** 0.6, 1


def _descended(sampler: Sampler, at: Position, lr: float, steps: int) -> Any:
    params = at.params
    for _ in range(steps):
        params = _minus(params, func.grad(sampler.inner())(params, at.outer), lr)
    return params


def _minus(x: Any, slope: Any, lr: float) -> Any:
    return tree.map(lambda x, g: x - lr * g, x, slope)
