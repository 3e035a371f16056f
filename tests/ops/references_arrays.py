"""References of the operations on shapes, indices and orders that NumPy does not have by name and arguments."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np


def _chunk(x: Any, chunks: int, axis: int = 0) -> Any:
    length = -(-x.shape[axis] // chunks)
    return [np.take(x, range(i, min(i + length, x.shape[axis])), axis) for i in range(0, x.shape[axis], length)]


def _tensor_split(x: Any, sections: Any, axis: int = 0) -> Any:
    if isinstance(sections, int):
        return np.array_split(x, sections, axis)
    return np.array_split(x, list(sections), axis)


def _split_along(axis: int) -> Any:
    return lambda x, sections: np.array_split(x, sections if isinstance(sections, int) else list(sections), axis)


def _unflatten(x: Any, axis: int, sizes: Any) -> Any:
    axis %= x.ndim
    return x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])


def _rot90(x: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    return np.rot90(x, k, tuple(axes))


def _narrow(x: Any, axis: int, start: int, length: int) -> Any:
    return np.take(x, np.arange(start, start + length), axis)


def _cartesian_prod(*vectors: Any) -> Any:
    return np.array(list(itertools.product(*vectors)))


def _combinations(x: Any, r: int = 2, with_replacement: bool = False) -> Any:
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    return np.array(list(choose(x, r))).reshape(-1, r)


def _meshgrid(*vectors: Any, indexing: str = "ij") -> Any:
    return np.meshgrid(*vectors, indexing=indexing)


ARRAYS: dict[str, Any] = {
    "chunk": _chunk,
    "tensor_split": _tensor_split,
    "hsplit": _split_along(1),
    "vsplit": _split_along(0),
    "dsplit": _split_along(2),
    "unbind": lambda x, axis=0: list(np.moveaxis(x, axis, 0)),
    "unflatten": _unflatten,
    "narrow": _narrow,
    "select": lambda x, axis, index: np.take(x, index, axis),
    "repeat_interleave": np.repeat,
    "rot90": _rot90,
    "broadcast_tensors": np.broadcast_arrays,
    "meshgrid": _meshgrid,
    "cartesian_prod": _cartesian_prod,
    "combinations": _combinations,
}
