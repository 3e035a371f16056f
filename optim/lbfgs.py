"""L-BFGS: a quasi-Newton method with the memory of a few steps."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from hograd.errors import ArgumentError
from optim.line_search import Point
from optim.minimizer import Minimizer


@dataclasses.dataclass(frozen=True)
class LBFGS(Minimizer):
    """Limited-memory BFGS (Liu and Nocedal, 1989) with a line search by the strong Wolfe conditions.

    x <- x - length * H g ;   H from the last `memory` pairs  s = change of x ,  y = change of g :
    H <- (1 - s y^T / s.y) H (1 - y s^T / s.y) + s s^T / s.y ,  begun with  (s.y / y.y) * identity .

    A solver of whole problems, such as the inner one of a `Bilevel`: `optim.hyper.Implicit(solve=LBFGS())`.

    Args:
        memory: how many pairs, >= 1.
        tolerance, steps: when to stop: see `Minimizer`.
        decrease, curvature: of the strong Wolfe conditions.

    >>> import hograd as ho
    >>> def ridge(w, l2):
    ...     return (w - 2) ** 2 + l2 * w**2
    >>> found = LBFGS().minimize(ridge, ho.tensor(0.0), ho.tensor(1.0))
    >>> found.params, found.reason
    (tensor(1.), 'gradient')
    >>> ho.func.grad(lambda l2: LBFGS().minimize(ridge, ho.tensor(0.0), l2).params)(ho.tensor(1.0))
    tensor(-0.5000)
    """

    memory: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.memory, int) or self.memory < 1:
            raise ArgumentError(f"LBFGS: memory is {self.memory!r}, expected a whole number of at least 1.")

    def directions(self, point: Point) -> Iterator[tuple[Any, float]]:
        pairs: deque[tuple[Any, Any, float]] = deque(maxlen=self.memory)
        while True:
            g = point.gradient
            if pairs:
                new = yield -_product(pairs, g), 1.0
            else:
                new = yield -g, min(1.0, 1.0 / float(abs(g).sum() or 1.0))
            s, y = new.x - point.x, new.gradient - g
            # A pair of no positive curvature, which a search without Wolfe's second condition may leave, would spoil H.
            if float(s @ y) > np.finfo(g.dtype).eps * float(y @ y):
                pairs.append((s, y, float(s @ y)))
            point = new


def _product(pairs: Any, g: Any) -> Any:
    """H g, by two loops over the pairs."""
    shares = []
    for s, y, sy in reversed(pairs):
        share = float(s @ g) / sy
        g = g - share * y
        shares.append(share)
    _, y, sy = pairs[-1]
    g = g * (sy / float(y @ y))
    for (s, y, sy), share in zip(pairs, reversed(shares), strict=True):
        g = g + (share - float(y @ g) / sy) * s
    return g
