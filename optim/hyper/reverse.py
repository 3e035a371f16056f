"""Reverse mode: training is recorded and differentiated backwards, exactly."""

from __future__ import annotations

import dataclasses
from typing import Any

from hograd import func, tree
from hograd.errors import ArgumentError
from optim.hyper.problem import Bilevel, Hypergradient, Info, train


@dataclasses.dataclass(frozen=True)
class Reverse:
    """The exact hypergradient by reverse mode through all inner steps (Maclaurin et al., 2015).

    Time is a small multiple of training, whatever the number of outer variables; memory grows with the steps.

    Args:
        steps: number of inner steps, >= 0.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Bilevel, hypergradient
    >>> problem = Bilevel(lambda w, opt: w**2, lambda w, opt: w**2, init=ho.tensor(1.0))
    >>> value, hypergrad, info = hypergradient(problem, SGD(lr=0.25), Reverse(steps=2))
    >>> value, hypergrad.lr
    (tensor(0.0625), tensor(-1.))
    """

    steps: int

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or self.steps < 0:
            raise ArgumentError(f"Reverse: steps is {self.steps!r}, expected a whole number of at least 0.")

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The hypergradient of `problem` at `outer`."""

        def trained(outer: Any) -> Any:
            params, state = train(problem, outer, self.steps)
            return problem.outer_loss(params, outer), (params, state)

        hypergrad, (value, (params, state)) = func.grad_and_value(trained, has_aux=True)(outer)
        info = Info(tree.detach(params), tree.detach(state), self.steps, self.steps)
        return Hypergradient(value, hypergrad, info)
