"""Functions known at points: their integrals and slopes; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import axes_of, axis_of, cut, tensor_of

__all__ = ["cumulative_trapezoid", "gradient", "trapezoid", "trapz"]


def _integrals(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4)),
        case(s.normal(3, 4), s.normal(4)),
        case(s.normal(3, 4), s.normal(3, 4), axis=0),
        case(s.normal(2, 3), dx=0.5, dim=0),
        case(s.normal(2, 3), s.normal(2), dim=0),
    ]


def _areas(y: Any, x: Any, dx: Any, axis: int, name: str) -> tuple[Tensor, int]:
    """What lies below each piece between neighbouring points."""
    y = tensor_of(y, name)
    if not y.ndim:
        raise ShapeError(f"{name}: y has no axes, expected an axis of points.")
    axis = axis_of(axis, y.ndim, name)
    if x is None:
        width: Any = 1 if dx is None else dx
    else:
        if dx is not None:
            raise ArgumentError(f"{name} got both x and dx, expected one of them.")
        x = tensor_of(x, name)
        if x.ndim == 1:
            x = ops.reshape(x, (-1, *(1,) * (y.ndim - axis - 1)))
        along = x.ndim - (y.ndim - axis)
        if x.ndim > y.ndim or along < 0 or x.shape[along] != y.shape[axis]:
            raise ShapeError(f"{name}: x has shape {tuple(x.shape)} and y {tuple(y.shape)}, expected as many points.")
        width = cut(x, along, 1, None) - cut(x, along, None, -1)
    return (cut(y, axis, 1, None) + cut(y, axis, None, -1)) * width / 2, axis


@operation(None, _integrals)
def trapezoid(y: Any, x: Any = None, *, dx: Any = None, axis: int = -1) -> Tensor:
    """sum_i (x_i - x_(i-1)) (y_i + y_(i-1)) / 2,  the integral of straight lines between points.

    Args:
        y: values, of at least one axis.
        x: where they are known: of one axis, or broadcast against `y`; default `dx` apart.
        dx: distance of neighbours, default 1.
        axis: the axis of the points (`dim`).

    >>> import hograd as ho
    >>> ho.trapezoid(ho.tensor([1.0, 3.0, 5.0]), ho.tensor([0.0, 1.0, 3.0]))
    tensor(10.)
    """
    areas, axis = _areas(y, x, dx, axis, "trapezoid")
    return ops.sum(areas, axis)


trapz = trapezoid


@operation(None, _integrals)
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, axis: int = -1) -> Tensor:
    """The integrals from the first point to each of the others; the arguments are those of `trapezoid`.

    Returns:
        The shape of `y`, one less along the axis.

    >>> import hograd as ho
    >>> ho.cumulative_trapezoid(ho.tensor([1.0, 3.0, 5.0]))
    tensor([2., 6.])
    """
    areas, axis = _areas(y, x, dx, axis, "cumulative_trapezoid")
    return ops.cumsum(areas, axis)


def _slopes(x: Tensor, axis: int, spacing: Any, edge_order: int) -> Tensor:
    n = x.shape[axis]
    if n < edge_order + 1:
        raise ShapeError(f"gradient: axis {axis} has {n} points, expected at least edge_order + 1 = {edge_order + 1}.")
    steps: Any = spacing
    if isinstance(spacing, Tensor) and spacing.ndim:
        if tuple(spacing.shape) != (n,):
            raise ShapeError(
                f"gradient: spacing has shape {tuple(spacing.shape)}, expected ({n},), the points of the axis."
            )
        places = ops.reshape(spacing, (n, *(1,) * (x.ndim - axis - 1)))
        steps = cut(places, 0, 1, None) - cut(places, 0, None, -1)

    def step(*bounds: int | None) -> Any:
        return cut(steps, 0, *bounds) if steps is not spacing else spacing

    rises = (cut(x, axis, 1, None) - cut(x, axis, None, -1)) / steps
    before, behind = cut(rises, axis, None, -1), cut(rises, axis, 1, None)
    # The slope of the parabola through three points weighs the rises on both sides by the step on the other.
    h, k = step(None, -1), step(1, None)
    inner = (k * before + h * behind) / (h + k)
    first, last = cut(rises, axis, None, 1), cut(rises, axis, -1, None)
    if edge_order == 2:
        h, k = step(None, 1), step(1, 2)
        first = first + (first - cut(rises, axis, 1, 2)) * h / (h + k)
        h, k = step(-2, -1), step(-1, None)
        last = last + (last - cut(rises, axis, -2, -1)) * k / (h + k)
    return ops.concatenate([first, inner, last], axis)


@operation(
    None,
    lambda s: [
        case(s.normal(5)),
        case(s.normal(3, 4), spacing=0.5, edge_order=2),
        case(s.normal(4, 3), axis=0),
        case(s.normal(3, 4), spacing=(2.0, 0.5), axis=(1, 0)),
    ],
)
def gradient(x: Any, *, spacing: Any = 1, axis: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Slopes of a function along its axes, by second-order differences: exact for parabolas inside of the edges.

    Args:
        x: values (`input`).
        spacing: distance of neighbours, a number or one for each axis; or a list of the points' places, a tensor (n,)
            for each axis.
        axis: int, tuple of ints, or None for all axes (`dim`).
        edge_order: 1: the slope at an edge is that of its piece; 2: it is exact for parabolas too.

    Returns:
        A tensor like `x` for each axis, in the order of `axis`.

    >>> import hograd as ho
    >>> ho.gradient(ho.tensor([0.0, 1.0, 4.0, 9.0]))
    (tensor([1., 2., 4., 5.]),)
    """
    x = tensor_of(x, "gradient")
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient got edge_order={edge_order}, expected 1 or 2.")
    if axis is None:
        axes: Sequence[int] = axes_of(None, x.ndim, "gradient")
    else:
        axes = [axis_of(a, x.ndim, "gradient") for a in (axis if isinstance(axis, Sequence) else [axis])]
    if len(set(axes)) < len(axes):
        raise ShapeError(f"gradient got axis {axis}, in which an axis appears multiple times.")
    spacing = 1 if spacing is None else spacing
    each = spacing if isinstance(spacing, (list, tuple)) else [spacing] * len(axes)
    if len(each) != len(axes):
        raise ArgumentError(f"gradient got {len(each)} spacings for {len(axes)} axes, expected one or as many.")
    return tuple(_slopes(x, a, h, edge_order) for a, h in zip(axes, each, strict=True))
