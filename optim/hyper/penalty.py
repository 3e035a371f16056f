"""Bilevel optimization by first derivatives alone: the inner problem as a penalty on the outer loss."""

from __future__ import annotations

import dataclasses
from typing import Any

from hograd import func, tree, where
from hograd.errors import ArgumentError
from optim.hyper.problem import expect_count
from optim.hyper.sampled import Algorithm, Position, Sampler, minus


@dataclasses.dataclass(frozen=True, kw_only=True)
class F2SA(Algorithm):
    """Two inner copies, one of which also heeds the outer loss; what parts them is the slope (Kwon et al., 2023).

    With the multiplier  s_k = multiplier + growth * k :

        z <- z - inner_lr grad_w f(z, outer)                                    inner_steps times
        w <- w - inner_lr (grad_w f(w, outer) + grad_w E(w, outer) / s_k)       inner_steps times
        outer <- outer - outer_lr (grad_outer E(w) + s_k (grad_outer f(w) - grad_outer f(z))) .

    The direction is off by O(1 / s_k), so the multiplier grows. `memory` of the position is z. The rate of w is
    that of the paper for the penalised loss, divided by s_k. The last two gradients are on one batch, so that what it
    has by chance cancels; the paper draws two.

    Args:
        multiplier: of the inner loss at first, > 0.
        growth: of the multiplier in each step, >= 0.
        inner_steps: of each copy, >= 1.

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> F2SA(inner_lr=0.25, outer_lr=0.1, inner_steps=5).run(problem, ho.tensor(0.0), steps=200).outer
    tensor(3.0000)
    """

    multiplier: float = 1.0
    growth: float = 0.1
    inner_steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_count("F2SA: inner_steps", self.inner_steps, 1)
        if not self.multiplier > 0 or not self.growth >= 0:
            raise ArgumentError(
                f"F2SA: multiplier is {self.multiplier} and growth {self.growth}, expected one above 0 and one of at "
                "least 0."
            )

    def init(self, problem: Any, outer: Any) -> Position:
        """Before the first step: both copies at the problem's first parameters."""
        at = super().init(problem, outer)
        return dataclasses.replace(at, memory=at.params)

    def move(self, sampler: Sampler, at: Position) -> Position:
        w, z, s = at.params, at.memory, self.multiplier + self.growth * at.number
        for _ in range(self.inner_steps):
            z = minus(z, func.grad(sampler.inner())(z, at.outer), self.inner_lr)
            slope, pushed = func.grad(sampler.inner())(w, at.outer), func.grad(sampler.outer())(w, at.outer)
            w = minus(w, tree.map(lambda g, e: g + e / s, slope, pushed), self.inner_lr)
        direct = func.grad(sampler.outer(), argnums=1)(w, at.outer)
        loss = sampler.inner()
        up, down = func.grad(loss, argnums=1)(w, at.outer), func.grad(loss, argnums=1)(z, at.outer)
        outer_slope = tree.map(lambda d, u, v: d + s * (u - v), direct, up, down)
        return dataclasses.replace(at, params=w, outer=minus(at.outer, outer_slope, self.outer_lr), memory=z)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BOME(Algorithm):
    """Both variables follow the outer loss, with as much of the inner problem's gap as must fall (Liu et al., 2022).

    With w' some gradient steps on f from w, taken as a constant, and the gap  q = f(w, outer) - f(w', outer) :

        s = max(0, control - grad E . grad q / |grad q|^2) ,      (w, outer) <- (w, outer) - lr (grad E + s grad q) ,

    gradients by both variables together, lr being `outer_lr`.

    Args:
        control: how fast the gap must fall at least, > 0; 0.5 in the paper.
        inner_steps: that lead to w', with rate `inner_lr`, >= 1; 10 in the paper.

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> BOME(inner_lr=0.25, outer_lr=0.1).run(problem, ho.tensor(0.0), steps=1000).outer.item() > 2.9
    True
    """

    control: float = 0.5
    inner_steps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_count("BOME: inner_steps", self.inner_steps, 1)
        if not self.control > 0:
            raise ArgumentError(f"BOME: control is {self.control}, expected a number above 0.")

    def move(self, sampler: Sampler, at: Position) -> Position:
        ahead = at.params
        for _ in range(self.inner_steps):
            ahead = minus(ahead, func.grad(sampler.inner())(ahead, at.outer), self.inner_lr)
        loss = sampler.inner()

        def gap(params: Any, outer: Any) -> Any:
            return loss(params, outer) - loss(ahead, outer)

        both = (0, 1)
        slope = func.grad(sampler.outer(), argnums=both)(at.params, at.outer)
        fall = func.grad(gap, argnums=both)(at.params, at.outer)
        square = sum((g * g).sum() for g in tree.leaves(fall))
        along = sum((g * e).sum() for g, e in zip(tree.leaves(fall), tree.leaves(slope), strict=True))
        # Where the inner problem is solved, the gap is flat and asks for nothing.
        solved = square == 0
        s = where(solved, 0.0, (self.control - along / where(solved, 1.0, square)).clamp(min=0))
        params, outer = tree.map(lambda x, e, q: x - self.outer_lr * (e + s * q), (at.params, at.outer), slope, fall)
        return dataclasses.replace(at, params=params, outer=outer)
