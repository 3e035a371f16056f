"""Truncated reverse mode: only the last steps of training are differentiated."""

from __future__ import annotations

import dataclasses
from typing import Any

from hograd import func, graph, tree
from hograd.errors import ArgumentError
from optim.hyper.problem import Bilevel, Hypergradient, Info, expect_count, onwards, unroll


@dataclasses.dataclass(frozen=True)
class Truncated:
    """The hypergradient by reverse mode through the last `last` of `steps` inner steps (Shaban et al., 2019).

    What came before them is taken as a constant, so memory grows with `last` alone. The initial parameters get no
    gradient unless `last` is `steps`. For an inner loss that is strongly convex around the solution, with steps that
    contract by q, the bias falls as q**last.

    Args:
        steps: number of inner steps, >= 0.
        last: how many of them are differentiated, from 0 to `steps`.

    Inside `func.grad` it is differentiated as the function of `outer` that it computes.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Bilevel, hypergradient
    >>> problem = Bilevel(lambda w, opt: w**2, lambda w, opt: w**2, init=ho.tensor(1.0))
    >>> value, hypergrad, info = hypergradient(problem, SGD(lr=0.25), Truncated(steps=2, last=1))
    >>> value, hypergrad.lr
    (tensor(0.0625), tensor(-0.5000))
    """

    steps: int
    last: int

    def __post_init__(self) -> None:
        expect_count("Truncated: steps", self.steps)
        expect_count("Truncated: last", self.last)
        if self.last > self.steps:
            raise ArgumentError(f"Truncated: last is {self.last}, expected at most steps, which is {self.steps}.")

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The hypergradient of `problem` at `outer`."""

        begin = self.steps - self.last

        def begun(outer: Any) -> tuple[Any, Any]:
            return unroll(problem, outer, begin, "none")

        # Run outside the tape below: to it, the parameters are constants.
        before = None if self.last == self.steps else begun(outer)

        def trained(outer: Any) -> Any:
            carry = before or begun(outer)
            numbers = range(begin, self.steps)
            params, state = onwards(problem, outer, problem.optimizer_of(outer), carry, numbers)
            value = problem.outer_loss(params, outer)
            return value, (params, state, graph.memory_report(value).total.bytes)

        hypergrad, (value, (params, state, memory)) = func.grad_and_value(trained, has_aux=True)(outer)
        info = Info(
            tree.detach(params), tree.detach(state), self.steps, self.steps, hessian_products=self.last, memory=memory
        )
        return Hypergradient(value, hypergrad, info)
