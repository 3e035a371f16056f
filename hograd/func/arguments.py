"""What the transforms have in common: arguments and outputs as lists of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hograd import tree
from hograd.backend import FLOATING, as_array
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.core.traced import strong
from hograd.errors import ArgumentError, DtypeError, ShapeError


def as_tensor(leaf: Any) -> Any:
    """A leaf of a tree as a tensor."""
    return strong(leaf) if isinstance(leaf, Tensor) else ops.tensor(leaf)


def inputs_of(values: Any, name: str) -> tuple[list[Tensor], Any]:
    """The leaves of a tree as floating tensors."""
    items, structure = tree.flatten(values)
    tensors = []
    for i, x in enumerate(items):
        if isinstance(x, (bool, int)) or not (isinstance(x, (float, Tensor, np.ndarray, np.generic))):
            raise DtypeError(
                f"{name}{tree.paths(values)[i]} is {type(x).__name__} {x!r}, expected a floating tensor or number: "
                "only those have derivatives."
            )
        tensor = as_tensor(x)
        if tensor.dtype.kind not in FLOATING:
            raise DtypeError(
                f"{name}{tree.paths(values)[i]} has dtype {tensor.dtype}: only Tensors of floating point and complex "
                "dtype can require gradients. Write the numbers with a decimal point, or convert with .double()."
            )
        tensors.append(tensor)
    return tensors, structure


def select(args: tuple[Any, ...], argnums: int | Sequence[int]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The arguments that are differentiated, and the function that puts others in their place."""
    single = isinstance(argnums, int)
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise ArgumentError(
                f"argnums is {argnums}, but the function was called with {len(args)} positional arguments."
            )
    chosen = args[numbers[0]] if single else tuple(args[n] for n in numbers)

    def replaced(values: Any) -> tuple[Any, ...]:
        full = list(args)
        for n, value in zip(numbers, [values] if single else values, strict=True):
            full[n] = value
        return tuple(full)

    return chosen, replaced


def outputs_of(result: Any, name: str) -> tuple[list[Tensor], Any]:
    items, structure = tree.flatten(result)
    for i, y in enumerate(items):
        if not isinstance(y, Tensor):
            raise DtypeError(f"{name} returned {type(y).__name__} at output {i}, expected tensors only.")
    return items, structure


def name_of(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__)


_BELONG_TO = {"tangents": "primals", "cotangents": "output"}


def matching(given: Any, like: Sequence[Tensor], structure: Any, name: str) -> list[Tensor]:
    """Tangents or cotangents, checked against the tensors that they belong to."""
    expected = tree.unflatten(structure, like)
    items = tree.match(expected, given, (_BELONG_TO[name], name))
    checked = []
    for i, (t, x) in enumerate(zip(items, like, strict=True)):
        t = t if isinstance(t, Tensor) else Tensor(as_array(t, copy=True))
        if t.shape != x.shape:
            raise ShapeError(f"{name}{tree.paths(expected)[i]} has shape {tuple(t.shape)}, expected {tuple(x.shape)}.")
        checked.append(t if t.dtype == x.dtype else ops.astype(t, x.dtype))
    return checked
