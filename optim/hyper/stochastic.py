"""Bilevel optimization by samples: algorithms that move inner and outer variables together, on batches of both losses.

With f the inner and E the outer loss, their gradients on a batch each, v solves  (d2f/dw2) v = grad_w E , and the outer
variables follow  grad_outer E - (d2f/d(outer)dw) v . The algorithms differ in how much work they do for w and v before
they move on: AmIGO, StocBiO and BSA take several steps of each, TTSA, SOBA and SABA one; FSLA, SUSTAIN and MRBO take
one along averages of gradients. An algorithm's `init`, `step` and `run` lead from one `Position` to another.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from hograd import func, tree
from hograd.errors import ArgumentError
from optim.hyper.momentum import FSLA, MRBO, SUSTAIN
from optim.hyper.problem import Bilevel, expect_count
from optim.hyper.sampled import Algorithm, BySeries, Position, Sampler, minus, random_length

__all__ = ["BSA", "FSLA", "MRBO", "SABA", "SOBA", "SUSTAIN", "TTSA", "Algorithm", "AmIGO", "Position", "StocBiO"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SOBA(Algorithm):
    """All three variables take one step at once, from where they all were (Dagréou et al., 2022).

    w <- w - inner_lr grad_w f ;  v <- v - inner_lr ((d2f/dw2) v - grad_w E) ;
    outer <- outer - outer_lr (grad_outer E - (d2f/d(outer)dw) v) .  One batch of each loss serves all.

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> SOBA(inner_lr=0.25, outer_lr=0.1).run(problem, ho.tensor(0.0), steps=300).outer
    tensor(3.0000)
    """

    def move(self, sampler: Sampler, at: Position) -> Position:
        return self.moved(at, _inner_parts(sampler.inner(), at), _outer_parts(sampler.outer(), at))

    def moved(self, at: Position, inner: tuple[Any, Any, Any], outer: tuple[Any, Any]) -> Position:
        """The step along (grad_w f, (d2f/dw2) v, (d2f/d(outer)dw) v) and (grad_w E, grad_outer E)."""
        slope, bent, cross = inner
        right, direct = outer
        return dataclasses.replace(
            at,
            params=minus(at.params, slope, self.inner_lr),
            adjoint=minus(at.adjoint, minus(bent, right), self.inner_lr),
            outer=minus(at.outer, minus(direct, cross), self.outer_lr),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SABA(SOBA):
    """SOBA without the noise of the batches in the end, by a memory of what each one said last (Dagréou et al., 2022).

    There are as many batches as `counts` says. In each step one of each loss is drawn at random, and each of the five
    quantities x that SOBA adds up is replaced as in SAGA, with the memory m of all batches:

        x_i - m_i + mean(m) ;     m_i <- x_i .

    The memory begins with all batches at the first position; it takes counts[0] times three trees and counts[1] times
    two.

    Args:
        counts: number of batches of the inner and of the outer loss, each >= 1: `batches` and `outer_batches` are
            called with numbers below them. 1 for a loss without batches.
        seed: of what is drawn.

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel
    >>> drift = ho.tensor([-1.0, 1.0])
    >>> problem = Bilevel(
    ...     inner_loss=lambda w, a, shift: (w - a - shift) ** 2,
    ...     outer_loss=lambda w, a: (w - 3) ** 2,
    ...     init=ho.tensor(0.0),
    ...     batches=lambda number: drift[number],
    ... )
    >>> SABA(inner_lr=0.1, outer_lr=0.05, counts=(2, 1)).run(problem, ho.tensor(0.0), steps=500).outer
    tensor(3.0000)
    """

    counts: tuple[int, int]
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for number, count in zip(("first", "second"), self.counts, strict=True):
            expect_count(f"SABA: the {number} of counts", count, 1)
        if self.counts[1] > 1 and self.outer_batches is None:
            raise ArgumentError(f"SABA: counts is {self.counts}, but there are no `outer_batches`; pass them, or 1.")

    def init(self, problem: Bilevel, outer: Any) -> Position:
        """Before the first step: the problem's first parameters, v = 0, and a memory of all batches there."""
        if self.counts[0] > 1 and problem.batches is None:
            raise ArgumentError(f"SABA: counts is {self.counts}, but the problem has no `batches`; pass them, or 1.")
        at = super().init(problem, outer)
        sampler = Sampler(problem, self.outer_batches, at.drawn)
        inner = [_inner_parts(sampler.inner(number), at) for number in range(self.counts[0])]
        judged = [_outer_parts(sampler.outer(number), at) for number in range(self.counts[1])]
        memory = [(tuple(parts), tree.map(lambda *x: sum(x) / len(x), *parts)) for parts in (inner, judged)]
        return dataclasses.replace(at, memory=memory, drawn=(sampler.inner_drawn, sampler.outer_drawn))

    def move(self, sampler: Sampler, at: Position) -> Position:
        random = np.random.default_rng([self.seed, at.number])
        places = [int(random.integers(count)) for count in self.counts]
        new = _inner_parts(sampler.inner(places[0]), at), _outer_parts(sampler.outer(places[1]), at)
        directions, memory = [], []
        for parts, place, (known, mean) in zip(new, places, at.memory, strict=True):
            change = minus(parts, known[place])
            directions.append(tree.map(lambda x, y: x + y, mean, change))
            mean = minus(mean, change, -1 / len(known))
            memory.append(((*known[:place], parts, *known[place + 1 :]), mean))
        return dataclasses.replace(self.moved(at, *directions), memory=memory)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AmIGO(BySeries):
    """Some steps of w, then some of v, from where both were, then an outer one (Arbel and Mairal, 2022).

    Args:
        inner_steps: of stochastic gradient descent on f, >= 1.
        system_steps: of v <- v - system_lr ((d2f/dw2) v - grad_w E), >= 1, with one gradient of E for all.
        system_lr: > 0; by default `inner_lr`.

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> AmIGO(inner_lr=0.25, outer_lr=0.1, inner_steps=5, system_steps=5).run(problem, ho.tensor(0.0), steps=100).outer
    tensor(3.0000)
    """

    inner_steps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_count(f"{type(self).__name__}: inner_steps", self.inner_steps, 1)

    def move(self, sampler: Sampler, at: Position) -> Position:
        params = sampler.descended(at.params, at.outer, self.inner_lr, self.inner_steps)
        right, direct = func.grad(sampler.outer(), argnums=(0, 1))(params, at.outer)
        v = self.solved(sampler, params, at, right)
        outer_slope = sampler.outer_slope(params, at.outer, v, direct)
        return dataclasses.replace(at, params=params, adjoint=v, outer=minus(at.outer, outer_slope, self.outer_lr))

    def solved(self, sampler: Sampler, params: Any, at: Position, right: Any) -> Any:
        """The new v."""
        v = at.adjoint
        for _ in range(self.system_steps):
            v = minus(v, minus(sampler.hessian(params, at.outer, v), right), self.rate_of_system)
        return v


@dataclasses.dataclass(frozen=True, kw_only=True)
class StocBiO(AmIGO):
    """Some steps of w, then v by the Neumann series on fresh batches, then one outer step (Ji, Yang and Liang, 2021).

    v = system_lr sum_{q < system_steps} (1 - system_lr d2f/dw2)^q grad_w E ,  a new batch of f for every product.

    Args:
        inner_steps: of stochastic gradient descent on f, >= 1, from where w was.
        system_steps: terms of the series, >= 1.
        system_lr: > 0, below 1 / the largest eigenvalue of the Hessian; by default `inner_lr`.

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> method = StocBiO(inner_lr=0.25, outer_lr=0.1, inner_steps=5, system_steps=5)
    >>> method.run(problem, ho.tensor(0.0), steps=100).outer
    tensor(3.0000)
    """

    def solved(self, sampler: Sampler, params: Any, at: Position, right: Any) -> Any:
        """The new v."""
        return sampler.series(params, at.outer, right, self.rate_of_system, self.system_steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BSA(BySeries):
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
    >>> from optim.hyper import Bilevel
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> BSA(inner_lr=0.25, outer_lr=0.1, inner_steps=5, system_steps=5).run(problem, ho.tensor(0.0), steps=100).outer
    tensor(3.0000)
    """

    inner_steps: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_count(f"{type(self).__name__}: inner_steps", self.inner_steps, 1)

    def rates(self, number: int) -> tuple[float, float, int]:
        """Inner and outer rate and number of inner steps in step `number`, counted from 0."""
        return self.inner_lr, self.outer_lr, math.ceil(self.inner_steps * math.sqrt(number + 1))

    def move(self, sampler: Sampler, at: Position) -> Position:
        inner_lr, outer_lr, steps = self.rates(at.number)
        params = sampler.descended(at.params, at.outer, inner_lr, steps)
        right, direct = func.grad(sampler.outer(), argnums=(0, 1))(params, at.outer)
        length = random_length(self.seed, at.number, self.system_steps)
        v = sampler.product(params, at.outer, right, self.rate_of_system, self.system_steps, length)
        outer_slope = sampler.outer_slope(params, at.outer, v, direct)
        return dataclasses.replace(at, params=params, adjoint=v, outer=minus(at.outer, outer_slope, outer_lr))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TTSA(BSA):
    """One inner step and one outer step in turn, on two time scales, with v as in BSA (Hong et al., 2020).

    In step k the rates are  inner_lr / (k + 1)^(2/5)  and  outer_lr / (k + 1)^(3/5) .

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> TTSA(inner_lr=0.4, outer_lr=0.3, system_lr=0.25).run(problem, ho.tensor(0.0), steps=300).outer
    tensor(3.0000)
    """

    def rates(self, number: int) -> tuple[float, float, int]:
        """Inner and outer rate and number of inner steps in step `number`, counted from 0."""
        return self.inner_lr / (number + 1) ** 0.4, self.outer_lr / (number + 1) ** 0.6, 1


def _inner_parts(loss: Any, at: Position) -> tuple[Any, Any, Any]:
    """grad_w f, (d2f/dw2) v and (d2f/d(outer)dw) v on one batch."""
    slope, pull = func.vjp(func.grad(loss), at.params, at.outer)
    return slope, *pull(at.adjoint)


def _outer_parts(loss: Any, at: Position) -> tuple[Any, Any]:
    """grad_w E and grad_outer E on one batch."""
    return func.grad(loss, argnums=(0, 1))(at.params, at.outer)
