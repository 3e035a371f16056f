"""How results that hold all parameters print: one line a field."""

from __future__ import annotations

import dataclasses
import math
import reprlib
from typing import Any

from hograd import tree

#: The most numbers that are printed themselves, and the most letters that they may take.
NUMBERS, LETTERS = 8, 90


def summary(self: Any) -> str:
    """A line for each field of a dataclass or a named tuple: what is small as it is, of what is large the size.

    A class that prints so says `__repr__ = summary`, and if it is a dataclass, `repr=False`.

    >>> import hograd as ho
    >>> from typing import NamedTuple
    >>> class Found(NamedTuple):
    ...     params: dict
    ...     value: ho.Tensor
    ...     history: list
    ...
    ...     __repr__ = summary
    >>> Found({"w": ho.zeros(20, 30), "b": ho.zeros(30)}, ho.tensor(0.5), [0.5] * 100)
    Found
      params: dict of 2 tensors, 630 numbers, float64
      value: tensor(0.5000)
      history: list of 100 numbers
    """
    names = getattr(self, "_fields", None) or [field.name for field in dataclasses.fields(self)]
    return "\n".join([type(self).__name__, *(f"  {name}: {_told(getattr(self, name))}" for name in names)])


def _told(value: Any) -> str:
    """A value in one line."""
    if type(value).__repr__ is summary:
        return f"{type(value).__name__}, printed by itself"
    leaves, structure = tree.flatten(value)
    if structure.is_leaf() and not hasattr(value, "shape"):
        return getattr(value, "__qualname__", None) or reprlib.repr(value)
    count = sum(math.prod(getattr(leaf, "shape", ())) for leaf in leaves)
    text = " ".join(repr(value).split()) if max(count, len(leaves)) <= NUMBERS else ""
    if 0 < len(text) <= LETTERS:
        return text
    tensors = [leaf for leaf in leaves if hasattr(leaf, "shape")]
    numbers = f"{count:,} number{'s' * (count != 1)}"
    if not tensors:
        return f"{type(value).__name__} of {numbers}"
    dtypes = ", ".join(sorted({str(leaf.dtype) for leaf in tensors}))
    if structure.is_leaf():
        return f"tensor of shape {tuple(value.shape)}, {dtypes}"
    return f"{type(value).__name__} of {len(tensors)} tensor{'s' * (len(tensors) != 1)}, {numbers}, {dtypes}"
