"""Padding: zeros are put around by the adjoint of a slice, everything else is joined from slices."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.backend import is_number
from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import cut, shape_of, tensor_of

__all__ = ["pad"]


def _constant(x: Tensor, pairs: list[tuple[int, int]], value: Any) -> Tensor:
    inside = tuple(slice(max(-left, 0), n - max(-right, 0)) for n, (left, right) in zip(x.shape, pairs, strict=True))
    shape = tuple(n + left + right for n, (left, right) in zip(x.shape, pairs, strict=True))
    if min(shape) < 0:
        raise ShapeError(f"pad: widths {pairs} leave a negative length of shape {tuple(x.shape)}.")
    if any(part != slice(0, n) for part, n in zip(inside, x.shape, strict=True)):
        x = ops.getitem(x, inside)
    place = tuple(slice(max(left, 0), max(left, 0) + n) for n, (left, _) in zip(x.shape, pairs, strict=True))
    padded = ops.place(x, place, shape)
    if value == 0:
        return padded
    held = ops.place(ops.ones_like(x, dtype=np.bool_), place, shape)
    return ops.where(held, padded, x.dtype.type(value))


def _reflect(x: Tensor, axis: int, left: int, right: int) -> list[Tensor]:
    length = x.shape[axis]
    if max(left, right) >= length:
        raise ShapeError(
            f"Padding size should be less than the corresponding input dimension: reflect got {left, right} for axis "
            f"{axis} of length {length}."
        )
    before, after = cut(x, axis, 1, left + 1), cut(x, axis, length - 1 - right, length - 1)
    return [ops.flip(before, axis), x, ops.flip(after, axis)]


def _replicate(x: Tensor, axis: int, left: int, right: int) -> list[Tensor]:
    length = x.shape[axis]
    if not length:
        raise ShapeError(f"pad: axis {axis} has no elements to replicate.")

    def repeated(edge: Tensor, count: int) -> Tensor:
        return ops.broadcast_to(edge, (*x.shape[:axis], count, *x.shape[axis + 1 :]))

    return [repeated(cut(x, axis, 0, 1), left), x, repeated(cut(x, axis, length - 1, length), right)]


def _circular(x: Tensor, axis: int, left: int, right: int) -> list[Tensor]:
    length = x.shape[axis]
    if max(left, right) > length:
        raise ShapeError(
            f"Padding value causes wrapping around more than once: circular got {left, right} for axis {axis} of "
            f"length {length}."
        )
    return [cut(x, axis, length - left, length), x, cut(x, axis, 0, right)]


_MODES = {"reflect": _reflect, "replicate": _replicate, "circular": _circular}


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), (1, 2)),
        case(s.normal(3, 4), (1, -1, 0, 2), "constant", 1.5),
        case(s.normal(3, 4), (1, 2, 2, 0), mode="reflect"),
        case(s.normal(3, 4), (1, 2, 2, 0), mode="replicate"),
        case(s.normal(3, 4), (1, 2, 2, 0), mode="circular"),
        case(s.normal(2, 2, 3), (0, 1, 1, 0, 2, 1)),
    ],
)
def pad(x: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """`x` with elements put before and after it along its last axes.

    Args:
        x: tensor.
        pad: how many: (before, after) for the last axis, then for the last but one, and so on; negative numbers cut
            elements off, in mode "constant".
        mode: "constant"; "reflect", which mirrors at the first and last element without repeating them; "replicate",
            which repeats them; or "circular", which goes on at the other end.
        value: what mode "constant" puts, by default 0.

    >>> import hograd as ho
    >>> ho.pad(ho.tensor([1.0, 2.0, 3.0]), (1, 2))
    tensor([0., 1., 2., 3., 0., 0.])
    >>> ho.pad(ho.tensor([1.0, 2.0, 3.0]), (1, 2), mode="reflect")
    tensor([2., 1., 2., 3., 2., 1.])
    """
    x = tensor_of(x, "pad")
    widths = shape_of(pad, "pad")
    if len(widths) % 2 or len(widths) > 2 * x.ndim:
        raise ArgumentError(
            f"Padding length must be divisible by 2 and at most twice the number of dimensions: found {widths} for "
            f"{x.ndim} axes."
        )
    if mode != "constant" and mode not in _MODES:
        raise ArgumentError(f"pad got mode={mode!r}, expected 'constant', 'reflect', 'replicate' or 'circular'.")
    if value is not None and not is_number(value):
        raise ArgumentError(f"pad got value={value!r}, expected a number.")
    pairs = [(0, 0)] * (x.ndim - len(widths) // 2) + list(zip(widths[-2::-2], widths[::-2], strict=True))
    if not any(widths):
        return ops.clone(x)
    if mode == "constant":
        return _constant(x, pairs, value or 0)
    if min(widths) < 0:
        raise ArgumentError(f"pad got negative widths {widths}, which mode {mode!r} does not take.")
    for axis, (left, right) in enumerate(pairs):
        if left or right:
            x = ops.concatenate(_MODES[mode](x, axis, left, right), axis)
    return x
