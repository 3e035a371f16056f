"""Whether a point is where a loss is smallest, as its gradient there and next to it tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hograd.core.restoring import silent


class Verdict(NamedTuple):
    """What a point is.

    Attributes:
        far: its gradient is small, but the curvature says that the zero of it is far away, as on a slope that flattens
            out forever.
        solved: the point is a solution to the accuracy that is asked for.
    """

    far: bool
    solved: bool


class Stationary:
    """Judges points by  |g_i| <= tolerance * max(1, |x_i|) * min(1, c)  and  |g_i| <= reach * c_i * max(1, |x_i|).

    c_i is the curvature, the change of g_i by that of x_i from here to a point nearby, and c the largest of them. The
    first condition asks for a gradient that is small, one parameter at a time, in the unit of the loss; the second
    that each parameter is near the zero of its slope,  |g_i| / c_i  away by Newton's rule.

    Args:
        gradient: function of the vector of parameters.
        tolerance: >= 0.
        epsilon: of the numbers in which the gradient is computed.
    """

    def __init__(self, gradient: Callable[[Any], Any], tolerance: float, epsilon: float) -> None:
        self.gradient = gradient
        self.tolerance = tolerance
        self.reach = max(tolerance, min(math.sqrt(tolerance), 1e-2))
        self.shift = math.sqrt(epsilon)

    def judge(self, x: Any, g: Any, far: bool) -> Verdict:
        """The verdict on a point; `far` is that on the point before.

        It computes one more gradient where that of the point is small.
        """
        unit = np.maximum(1.0, abs(x))
        if not (abs(g) <= self.tolerance * unit).all():
            return Verdict(False, False)
        if not (far or g.any()):
            return Verdict(False, True)
        change = self._change(x, g, unit, np.where(g > 0, -1.0, 1.0))
        if change is None:
            return Verdict(False, True)
        if not g.any():
            # Where a slope that flattens out forever is rounded to 0, it looks like a minimum.
            return Verdict(not change.any(), bool(change.any()))
        near = bool((abs(g) <= self.reach * change / self.shift).all())
        level = min(1.0, float((change / (self.shift * unit)).max()))
        return Verdict(not near, near and bool((abs(g) <= self.tolerance * level * unit).all()))

    def rounded(self, x: Any, g: Any, begun: Any) -> bool:
        """Whether the gradient is no larger than the rounding of the parameters makes it."""
        unit = np.maximum(abs(x), abs(begun))
        noise = np.zeros_like(g)
        for seed in range(3):
            change = self._change(x, g, unit, np.random.default_rng(seed).choice([-1.0, 1.0], g.shape))
            if change is None:
                return False
            noise = np.maximum(noise, change * self.shift)
        return bool((abs(g) <= 16 * noise).all())

    def _change(self, x: Any, g: Any, unit: Any, signs: Any) -> Any:
        """How much the gradient changes to a point that is `shift` times the unit away; None where it is not finite."""
        with silent():
            found = abs(self.gradient((x + self.shift * unit * signs).astype(x.dtype)) - g)
        return found if np.isfinite(found).all() else None
