"""A step length along a direction of descent, by the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """A function of a vector at  x + length * direction .

    Attributes:
        length: of the step; 0 where the search begins.
        value: of the function.
        slope: derivative of the value by the length.
        x, gradient: vectors.
    """

    length: float
    value: float
    slope: float
    x: Any
    gradient: Any


def strong_wolfe(
    at: Callable[[float], Point],
    start: Point,
    first: float,
    decrease: float,
    curvature: float,
    slack: float,
    most: int = 40,
) -> Point | None:
    """A point with enough of a decrease and a slope that is small enough.

    value <= value_0 + decrease * length * slope_0   and   |slope| <= curvature * |slope_0| .

    The first condition loses its meaning near a minimum, where values differ by rounding only; there the slope stands
    for it,  slope <= (2 decrease - 1) slope_0  (Hager and Zhang, 2005), so that the gradient can become far smaller
    than the root of the machine epsilon. A point that is not finite counts as too far.

    Args:
        at: the point for a length > 0.
        start: the point for length 0; its slope is < 0.
        first: the length that is tried first.
        decrease, curvature: 0 < decrease < 1/2, decrease < curvature < 1.
        slack: by how much values may differ by rounding.
        most: how many lengths to try.

    Returns:
        The point; one where the value is -inf, as soon as it is met; if none was found, a lower one than `start`, or
        None. Source: Nocedal and Wright (2006), section 3.5,
        with cubic interpolation.
    """
    low, high = start, None
    length = first
    for _ in range(most):
        point = at(length)
        if point.value == -math.inf and not math.isnan(point.slope):
            return point
        finite = math.isfinite(point.value) and math.isfinite(point.slope)
        if abs(point.value - start.value) <= slack:
            enough = point.slope <= (2 * decrease - 1) * start.slope
        else:
            enough = point.value <= start.value + decrease * length * start.slope
        if not finite or not enough or point.value > low.value + slack:
            high = point
        elif abs(point.slope) <= -curvature * start.slope:
            return point
        else:
            # The minimum lies on the side to which the function falls.
            if point.slope * (point.length - low.length) > 0:
                high = low
            low = point
        before, length = length, _next(low, high, length, slack)
        if length == before or (high is not None and length in (low.length, high.length)):
            break
    return low if low.length else None


def _next(low: Point, high: Point | None, last: float, slack: float) -> float:
    """The length to try: between the ends, or beyond the last one."""
    if high is None:
        return 4 * last
    near, far = low.length, high.length
    width = far - near
    # Where values are close their difference is coarse; slopes are not.
    close = abs(high.value - low.value) <= 1e4 * slack
    best = _secant(low, high) if close else _cubic(low, high)
    if best is None:
        return near + 0.5 * width if math.isfinite(high.value) else near + 0.1 * width
    least, most = sorted((near + 0.05 * width, near + 0.95 * width))
    return min(max(best, least), most)


def _secant(a: Point, b: Point) -> float | None:
    """Where the line through two slopes is 0."""
    change = b.slope - a.slope
    return a.length - a.slope * (b.length - a.length) / change if change and math.isfinite(change) else None


def _cubic(a: Point, b: Point) -> float | None:
    """Where the cubic through two points with these slopes has its minimum."""
    if not (math.isfinite(b.value) and math.isfinite(b.slope)):
        return None
    width = b.length - a.length
    one = a.slope + b.slope - 3 * (b.value - a.value) / width
    root = one * one - a.slope * b.slope
    if not root >= 0:
        return None
    two = math.copysign(math.sqrt(root), width)
    scale = b.slope - a.slope + 2 * two
    return b.length - width * (b.slope + two - one) / scale if scale else None
