"""Bilevel algorithms on samples whose gradients are averaged with recursive momentum: FSLA, SUSTAIN and MRBO."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from hograd import func, tree
from hograd.errors import ArgumentError
from optim.hyper.sampled import Algorithm, BySeries, Position, Sampler, minus, random_length


@dataclasses.dataclass(frozen=True, kw_only=True)
class FSLA(Algorithm):
    """One step of w, one of v, and one of the outer variables along an average of slopes (Li, Gu and Huang, 2022).

    w <- w - inner_lr grad_w f ,  then  v <- v - inner_lr ((d2f/dw2) v - grad_w E)  at the new w, then, with

        slope = grad_outer E - (d2f/d(outer)dw) v     at the new w and v, and `last` the same one step ago,
        d <- slope + (1 - share) (d - last) ;   outer <- outer - outer_lr d ,

    slope and last on the same new batch. In the first step d is the slope.

    Args:
        share: of the new slope in the average, in (0, 1]; 1 is plain.

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> FSLA(inner_lr=0.25, outer_lr=0.1).run(problem, ho.tensor(0.0), steps=300).outer
    tensor(3.0000)
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _expect_share("FSLA: share", self.share)

    def move(self, sampler: Sampler, at: Position) -> Position:
        params = sampler.descended(at.params, at.outer, self.inner_lr, 1)
        bent = sampler.hessian(params, at.outer, at.adjoint)
        right = func.grad(sampler.outer())(params, at.outer)
        v = minus(at.adjoint, minus(bent, right), self.inner_lr)
        inner, judge = sampler.inner(), sampler.outer()

        def slope(params: Any, outer: Any, v: Any) -> Any:
            _, pull = func.vjp(lambda outer: func.grad(inner)(params, outer), outer)
            return minus(func.grad(judge, argnums=1)(params, outer), pull(v)[0])

        direction = slope(params, at.outer, v)
        if at.number:
            place, average = at.memory
            direction = _averaged(direction, average, slope(*place), self.share)
        return dataclasses.replace(
            at,
            params=params,
            adjoint=v,
            outer=minus(at.outer, direction, self.outer_lr),
            memory=((params, at.outer, v), direction),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SUSTAIN(BySeries):
    """One step of both variables at a time, along gradients with recursive momentum (Khanduri et al., 2021).

    Both gradients, that of w and that of the outer variables by a product of random length as in BSA, are computed on
    new batches here and at the last position, the same batches at both:

        d <- grad(here) + (1 - share) (d - grad(last)) ;  w <- w - inner_lr d_w ;  outer <- outer - outer_lr d_outer .

    In the first step d is the gradient. With  e_k = (offset / (offset + k))^(1/3)  the rates in step k are
    inner_lr e_k  and  outer_lr e_k , the shares  inner_share e_(k-1)^2  and  outer_share e_(k-1)^2 .

    Args:
        inner_share: of the new gradient of w in its average, in (0, 1]; 1 is plain.
        outer_share: of the new hypergradient in its average, in (0, 1].
        offset: how many steps it takes until rates and shares fall, > 0; `math.inf` keeps them.
        system_steps: terms of the Neumann series, >= 1.
        system_lr: > 0, below 1 / the largest eigenvalue of the Hessian; by default `inner_lr`.
        seed: of the lengths.

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> method = SUSTAIN(inner_lr=0.4, outer_lr=0.05, system_lr=0.5, system_steps=1)
    >>> method.run(problem, ho.tensor(0.0), steps=300).outer
    tensor(3.0000)
    """

    inner_share: float = 0.5
    outer_share: float = 0.5
    offset: float = 100.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        for field in ("inner_share", "outer_share"):
            _expect_share(f"{name}: {field}", getattr(self, field))
        if not self.offset > 0:
            raise ArgumentError(f"{name}: offset is {self.offset}, expected a number above 0.")

    def rates(self, number: int) -> tuple[float, float]:
        """Inner and outer rate in step `number`, counted from 0."""
        fall = (1 + number / self.offset) ** (-1 / 3)
        return self.inner_lr * fall, self.outer_lr * fall

    def shares(self, number: int) -> tuple[float, float]:
        """Of the new inner and outer gradient in step `number`, counted from 0."""
        fall = (1 + (number - 1) / self.offset) ** (-2 / 3)
        return self.inner_share * fall, self.outer_share * fall

    def solved(self, sampler: Sampler, params: Any, outer: Any, right: Any, number: int) -> Any:
        """The estimate of v."""
        length = random_length(self.seed, number, self.system_steps)
        return sampler.product(params, outer, right, self.rate_of_system, self.system_steps, length)

    def move(self, sampler: Sampler, at: Position) -> Position:
        def gradients(sampler: Sampler, params: Any, outer: Any) -> tuple[tuple[Any, Any], Any]:
            slope = func.grad(sampler.inner())(params, outer)
            right, direct = func.grad(sampler.outer(), argnums=(0, 1))(params, outer)
            v = self.solved(sampler, params, outer, right, at.number)
            return (slope, sampler.outer_slope(params, outer, v, direct)), v

        directions, v = gradients(sampler, at.params, at.outer)
        if at.number:
            place, averages = at.memory
            last = gradients(sampler.again(), *place)[0]
            rows = zip(directions, averages, last, self.shares(at.number), strict=True)
            directions = tuple(_averaged(*row) for row in rows)
        inner_lr, outer_lr = self.rates(at.number)
        return dataclasses.replace(
            at,
            params=minus(at.params, directions[0], inner_lr),
            adjoint=v,
            outer=minus(at.outer, directions[1], outer_lr),
            memory=((at.params, at.outer), directions),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MRBO(SUSTAIN):
    """SUSTAIN with the whole Neumann series for v, of `system_steps` terms (Yang, Ji and Liang, 2021).

    Rates and shares fall as there. The Hessian is that of a new batch in every product of the series.

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel
    >>> problem = Bilevel(lambda w, a: (w - a) ** 2, lambda w, a: (w - 3) ** 2, init=ho.tensor(0.0))
    >>> MRBO(inner_lr=0.4, outer_lr=0.1, system_lr=0.25).run(problem, ho.tensor(0.0), steps=200).outer
    tensor(3.0000)
    """

    def solved(self, sampler: Sampler, params: Any, outer: Any, right: Any, number: int) -> Any:
        """The estimate of v."""
        return sampler.series(params, outer, right, self.rate_of_system, self.system_steps)


def _averaged(new: Any, average: Any, last: Any, share: float) -> Any:
    """new + (1 - share) (average - last) ."""
    return tree.map(lambda g, d, o: g + (1 - share) * (d - o), new, average, last)


def _expect_share(name: str, value: float) -> None:
    if not (0 < value <= 1 and math.isfinite(value)):
        raise ArgumentError(f"{name} is {value}, expected a number in (0, 1].")
