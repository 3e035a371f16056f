"""Indices as users give them, made into the form that primitives take: a static template, and arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hograd.backend import as_array
from hograd.core.tensor import Tensor, concrete
from hograd.errors import ArgumentError, DtypeError, IndexingError


class _Slot:
    """Stands in an index where an array of integers comes in as an argument of its own."""

    def __repr__(self) -> str:
        return "array"


SLOT = _Slot()


class Index(NamedTuple):
    """An index split into a static `template` for all axes that it names, and the integer arrays for its slots."""

    template: tuple[Any, ...]
    arrays: tuple[Any, ...]


def parse(index: Any, shape: tuple[int, ...]) -> Index:
    """The index in its normal form; a bool mask becomes the integers where it holds."""
    entries = [_entry(entry, shape) for entry in (index if isinstance(index, tuple) else (index,))]
    used = sum(map(_axes_taken, entries))
    if used > len(shape):
        raise IndexingError(f"too many indices for tensor of dimension {len(shape)}: found {used}.")
    if sum(entry is Ellipsis for entry in entries) > 1:
        raise IndexingError("an index can only have a single ellipsis ('...').")
    template: list[Any] = []
    arrays: list[Any] = []
    axis = 0
    for entry in entries:
        if entry is Ellipsis:
            # One that stands for no axes still parts the arrays on its sides.
            template += [slice(None)] * (len(shape) - used) or [Ellipsis]
            axis += len(shape) - used
        elif isinstance(entry, int) and not -shape[axis] <= entry < shape[axis]:
            raise IndexingError(f"index {entry} is out of bounds for dimension {axis} with size {shape[axis]}.")
        elif not isinstance(entry, Tensor):
            template.append(entry)
        elif entry.dtype.kind == "b":
            if entry.shape != shape[axis : axis + entry.ndim]:
                raise IndexingError(
                    f"The shape of the mask {list(entry.shape)} does not match the shape of the indexed tensor "
                    f"{list(shape)} from dimension {axis} on."
                )
            positions = np.nonzero(concrete(entry, "indexing with a mask"))
            template += [SLOT] * len(positions)
            arrays += positions
        else:
            template.append(SLOT)
            arrays.append(entry.detach())
        axis += _axes_taken(entry)
    return Index(tuple(template), tuple(arrays))


def _entry(entry: Any, shape: tuple[int, ...]) -> Any:
    """One entry of an index: None, Ellipsis, a slice of ints, an int, or a tensor of integers or bools."""
    if entry is None or entry is Ellipsis:
        return entry
    try:
        if isinstance(entry, slice):
            if entry.step == 0:
                raise ArgumentError("slice step cannot be zero.")
            return slice(*(None if v is None else v.__index__() for v in (entry.start, entry.stop, entry.step)))
        if not isinstance(entry, (bool, np.bool_, Tensor, np.ndarray)) and hasattr(entry, "__index__"):
            return int(entry)
        empty = isinstance(entry, list) and not entry
        # A copy: its owner may write to it before the backward pass.
        array = entry if isinstance(entry, Tensor) else Tensor(as_array(entry, np.int64 if empty else None, copy=True))
    except (AttributeError, DtypeError):
        raise IndexingError(
            f"an index is {entry!r}, expected an int, a slice of ints, None, '...', or a tensor or list of integers "
            "or bools."
        ) from None
    if array.dtype.kind == "b" and not array.ndim:
        raise IndexingError(
            f"a bool, {entry}, is no index of a tensor of shape {shape}: use where() or a mask of bools."
        )
    if array.dtype.kind not in "iub":
        raise IndexingError(f"tensors used as indices must be integer or bool tensors, found dtype {array.dtype}.")
    return array


def _axes_taken(entry: Any) -> int:
    if entry is None or entry is Ellipsis:
        return 0
    return entry.ndim if isinstance(entry, Tensor) and entry.dtype.kind == "b" else 1


def fill(template: tuple[Any, ...], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """The index that NumPy takes: the template with arrays in its slots."""
    it = iter(arrays)
    return tuple(next(it) if entry is SLOT else entry for entry in template)
