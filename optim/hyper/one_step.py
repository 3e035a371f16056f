"""The hypergradient through one virtual inner step, by finite differences."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from hograd import func, tree
from hograd.core.replay import repeated
from hograd.errors import ArgumentError
from optim.base import norm
from optim.hyper.problem import Bilevel, Hypergradient, Info, expect_count, train


@dataclasses.dataclass(frozen=True)
class DARTS:
    """The hypergradient through one virtual gradient step, its second derivative by differences (Liu et al., 2019).

    With  w' = w - lr grad_w f(w, outer) ,  v = grad_w E(w', outer) ,  e = radius / |v| :

        grad_outer E(w', outer) - lr (grad_outer f(w + e v, outer) - grad_outer f(w - e v, outer)) / (2 e) .

    It needs first derivatives alone; the difference is exact where f has no third derivatives in w, and off by
    O(e^2) elsewhere. All three gradients are of the same random draws in f. `value` is E(w', outer), and `info.params`
    is w, so that training goes on from there.

    Args:
        lr: rate of the virtual step, >= 0; 0 is the first-order form.
        steps: number of inner steps of the problem's optimizer that lead to w, >= 0. They are taken as constants.
        radius: length of the difference in the parameters, > 0.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Bilevel, hypergradient
    >>> problem = Bilevel(
    ...     inner_loss=lambda w, a: a * w, outer_loss=lambda w, a: w**2, init=ho.tensor(2.0), optimizer=SGD(lr=0.1)
    ... )
    >>> value, hypergrad, info = hypergradient(problem, ho.tensor(1.0), DARTS(lr=0.5))
    >>> value, hypergrad
    (tensor(2.2500), tensor(-1.5000))
    """

    lr: float
    steps: int = 0
    radius: float = 0.01

    def __post_init__(self) -> None:
        expect_count("DARTS: steps", self.steps)
        if not 0 <= self.lr < math.inf:
            raise ArgumentError(f"DARTS: lr is {self.lr}, expected a finite number of at least 0.")
        if not 0 < self.radius < math.inf:
            raise ArgumentError(f"DARTS: radius is {self.radius}, expected a finite number above 0.")

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The hypergradient of `problem` at `outer`."""
        params, state = train(problem, outer, self.steps)
        extra = () if problem.batches is None else (problem.batches(self.steps),)
        draws = repeated()
        with draws():
            slope = func.grad(problem.inner_loss)(params, outer, *extra)
        ahead = tree.map(lambda w, g: w - self.lr * g, params, slope)
        (v, direct), value = func.grad_and_value(problem.outer_loss, argnums=(0, 1))(ahead, outer)
        length = norm(*tree.leaves(v))
        # Where the outer gradient is zero, so is the difference, whatever it is divided by.
        tiny = max((float(np.finfo(x.dtype).tiny) for x in tree.leaves(v)), default=0.0)
        e = self.radius / (length + tiny**0.5)

        def at(sign: float) -> Any:
            moved = tree.map(lambda w, v: w + (sign * e * v).astype(w.dtype), params, v)
            with draws():
                return func.grad(problem.inner_loss, argnums=1)(moved, outer, *extra)

        hypergrad = direct
        if self.lr:
            hypergrad = tree.map(
                lambda d, up, down: (d - self.lr * (up - down) / (2 * e)).astype(d.dtype), direct, at(1.0), at(-1.0)
            )
        gradients = self.steps + (3 if self.lr else 1)
        info = Info(tree.detach(params), tree.detach(state), self.steps, gradients, memory=0)
        return Hypergradient(value, hypergrad, info)
