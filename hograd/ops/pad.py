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

__all__ = ["constant_pad_nd", "pad"]


def _inside(x: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    """What negative widths leave."""
    bounds = [(max(-left, 0), n - max(-right, 0)) for n, (left, right) in zip(x.shape, pairs, strict=True)]
    if any(start > stop for start, stop in bounds):
        raise ShapeError(f"pad: widths {pairs} leave a negative length of shape {tuple(x.shape)}.")
    if all(bound == (0, n) for bound, n in zip(bounds, x.shape, strict=True)):
        return x
    return ops.getitem(x, tuple(slice(*bound) for bound in bounds))


def _constant(x: Tensor, pairs: list[tuple[int, int]], value: Any) -> Tensor:
    x = _inside(x, pairs)
    shape = tuple(n + max(left, 0) + max(right, 0) for n, (left, right) in zip(x.shape, pairs, strict=True))
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
        case(s.normal(3, 4), (-1, 2, 2, -1), mode="reflect"),
        case(s.normal(3, 4), (-1, 2), mode="replicate"),
        case(s.normal(3, 4), (-1, 2), mode="circular"),
        case(s.normal(2, 2, 3), (0, 1, 1, 0, 2, 1)),
    ],
)
def pad(x: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """`x` with elements put before and after it along its last axes.

    Args:
        x: tensor.
        pad: how many: (before, after) for the last axis, then for the last but one, and so on; negative numbers cut
            elements off: in mode "circular" before the others go on at the other end, else after they are put.
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
    if mode == "circular":
        x = _inside(x, pairs)
    for axis, (left, right) in enumerate(pairs):
        if left > 0 or right > 0:
            x = ops.concatenate(_MODES[mode](x, axis, max(left, 0), max(right, 0)), axis)
    return x if mode == "circular" else _inside(x, pairs)


@operation(
    None,
    lambda s: [case(s.normal(3, 4), (1, 2)), case(s.normal(3, 4), (1, -1, 0, 2), 1.5)],
)
def constant_pad_nd(x: Any, pad: Any, value: float = 0) -> Tensor:
    """`pad` in mode "constant".

    Args:
        x: tensor (`input`).
        pad: (before, after) for the last axis, then for the last but one, and so on; negative numbers cut off.
        value: what is put.

    >>> import hograd as ho
    >>> ho.constant_pad_nd(ho.tensor([1.0, 2.0, 3.0]), (1, -1), 9.0)
    tensor([9., 1., 2.])
    """
    return ops.pad(x, pad, "constant", value)
