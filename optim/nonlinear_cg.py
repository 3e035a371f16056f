"""Nonlinear conjugate gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from hograd.errors import ArgumentError
from optim.line_search import Point
from optim.minimizer import Minimizer

RULES = ("hager-zhang", "polak-ribiere", "hestenes-stiefel", "dai-yuan", "fletcher-reeves")


@dataclasses.dataclass(frozen=True)
class NonlinearCG(Minimizer):
    """Conjugate gradients for losses that are not quadratic, with a line search by the strong Wolfe conditions.

    d <- -g + b d , with y the change of the gradient g in the last step, and b one of

    - "hager-zhang":  (y - 2 d |y|^2 / d.y) . g / d.y  (Hager and Zhang, 2005), bounded from below as they do;
    - "polak-ribiere":  max(0, g.y / |g_before|^2)  (Polak and Ribiere, 1969; Gilbert and Nocedal, 1992);
    - "hestenes-stiefel":  max(0, g.y / d.y)  (Hestenes and Stiefel, 1952);
    - "dai-yuan":  |g|^2 / d.y  (Dai and Yuan, 1999);
    - "fletcher-reeves":  |g|^2 / |g_before|^2  (Fletcher and Reeves, 1964).

    It keeps three vectors, less than `LBFGS`, and takes more steps. It begins anew with the gradient where the
    direction would not descend, and where two gradients in a row are far from orthogonal (Powell, 1977). A solver of
    whole problems, such as the inner one of a `Bilevel`: `optim.hyper.Implicit(solve=NonlinearCG())`.

    Args:
        rule: how b is computed.
        tolerance, steps: when to stop: see `Minimizer`.
        decrease, curvature: of the strong Wolfe conditions; directions stay conjugate only if the steps are near exact.

    >>> import hograd as ho
    >>> def bowl(w, scale):
    ...     return (scale * (w - 1) ** 2).sum()
    >>> found = NonlinearCG().minimize(bowl, ho.zeros(3), ho.tensor([1.0, 2.0, 4.0]))
    >>> found.params, found.reason
    (tensor([1.0000, 1.0000, 1.0000]), 'gradient')
    """

    curvature: float = 0.01
    rule: str = "hager-zhang"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule not in RULES:
            raise ArgumentError(f"NonlinearCG: rule is {self.rule!r}, expected one of {', '.join(map(repr, RULES))}.")

    def directions(self, point: Point) -> Iterator[tuple[Any, float]]:
        g = point.gradient
        d, first = -g, min(1.0, 1.0 / float(abs(g).sum() or 1.0))
        while True:
            new = yield d, first
            fresh = abs(float(g @ new.gradient)) >= 0.2 * float(new.gradient @ new.gradient)
            b = 0.0 if fresh else self._share(d, g, new.gradient)
            slope, g = float(g @ d), new.gradient
            d = -g + b * d
            if not float(g @ d) < 0:
                d = -g
            # As much of a decrease as the last step brought, to first order.
            first = new.length * slope / float(g @ d) if float(g @ d) else 1.0
            first = min(first, 100 * new.length)

    def _share(self, d: Any, g: Any, new: Any) -> float:
        """How much of the last direction is kept."""
        y = new - g
        dy = float(d @ y)
        if self.rule == "polak-ribiere":
            return max(0.0, float(new @ y) / float(g @ g))
        if self.rule == "fletcher-reeves":
            return float(new @ new) / float(g @ g)
        if not dy > 0:
            return 0.0
        if self.rule == "hestenes-stiefel":
            return max(0.0, float(new @ y) / dy)
        if self.rule == "dai-yuan":
            return float(new @ new) / dy
        dd, gg = float(d @ d), float(g @ g)
        least = -1.0 / (dd**0.5 * min(0.01, gg**0.5)) if dd and gg else 0.0
        return max(float((y - d * (2 * float(y @ y) / dy)) @ new) / dy, least)
