"""Values as windows on memory: where an element lies, for every index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple


class View(NamedTuple):
    """Elements of the memory that belongs to the slot `root`; offset and strides count elements."""

    root: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def is_whole(self, size: int) -> bool:
        """Whether these are all elements, in their order."""
        return self.offset == 0 and math.prod(self.shape) == size and is_contiguous(self.shape, self.strides)


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of elements that lie one after another."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    return all(n == 1 or s == c for n, s, c in zip(shape, strides, contiguous(shape), strict=True))


def whole(root: int, shape: tuple[int, ...]) -> View:
    """All of a slot's memory."""
    return View(root, 0, shape, contiguous(shape))


def spread(view: View, shape: Sequence[int]) -> tuple[int, ...]:
    """Strides with which a value is read as one of this shape, to which it is broadcast."""
    missing = len(shape) - len(view.shape)
    return (0,) * missing + tuple(0 if n == 1 else s for n, s in zip(view.shape, view.strides, strict=True))


def broadcast(view: View, shape: tuple[int, ...]) -> View:
    return View(view.root, view.offset, shape, spread(view, shape))


def permute(view: View, axes: Sequence[int]) -> View:
    return View(view.root, view.offset, tuple(view.shape[a] for a in axes), tuple(view.strides[a] for a in axes))


def reshape(view: View, shape: tuple[int, ...]) -> View | None:
    """The same elements in another shape; None where that takes a copy."""
    axes = [(n, s) for n, s in zip(view.shape, view.strides, strict=True) if n != 1]
    # Runs of axes whose elements lie evenly, as one axis each.
    runs: list[tuple[int, int]] = []
    for n, s in axes:
        if runs and runs[-1][1] == n * s:
            runs[-1] = (runs[-1][0] * n, s)
        else:
            runs.append((n, s))
    strides: list[int] = []
    left = 1
    stride = 0
    for n in reversed(shape):
        if n == 1:
            strides.append(0)
            continue
        if left == 1:
            if not runs:
                return None
            left, stride = runs.pop()
        if left % n:
            return None
        strides.append(stride)
        stride *= n
        left //= n
    return View(view.root, view.offset, shape, tuple(reversed(strides)))


def index(view: View, indices: Any) -> View | None:
    """The elements at a basic index: ints, slices, None and an ellipsis; None for others."""
    items = indices if isinstance(indices, tuple) else (indices,)
    if not all(type(i) is int or i is None or i is Ellipsis or isinstance(i, slice) for i in items):
        return None
    used = sum(1 for i in items if i is not None and i is not Ellipsis)
    if Ellipsis not in items:
        items = (*items, Ellipsis)
    offset = view.offset
    shape: list[int] = []
    strides: list[int] = []
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            strides.append(0)
        elif item is Ellipsis:
            for _ in range(len(view.shape) - used):
                shape.append(view.shape[axis])
                strides.append(view.strides[axis])
                axis += 1
        elif isinstance(item, slice):
            start, stop, step = item.indices(view.shape[axis])
            shape.append(len(range(start, stop, step)))
            strides.append(view.strides[axis] * step)
            offset += view.strides[axis] * start
            axis += 1
        elif isinstance(item, int):
            offset += view.strides[axis] * (item % view.shape[axis])
            axis += 1
    return View(view.root, offset, tuple(shape), tuple(strides))
