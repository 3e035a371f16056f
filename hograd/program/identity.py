"""What makes two Python values the same for a program: their type and their bits."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any

import numpy as np


def identity(value: Any) -> Any:
    """Something hashable that equals that of another value only if both are of one type and hold the same bits.

    2, 2.0 and True differ, and so do 0.0 and -0.0; nan equals nan. So it is within lists, tuples, dicts, sets, slices
    and dataclasses; other objects are compared as they compare themselves.

    Raises:
        TypeError: some object in it cannot be hashed.
    """
    kind = type(value)
    if kind in (int, bool, str, bytes, type(None)):
        return kind, value
    if isinstance(value, np.generic):
        return kind, value.dtype.str, value.tobytes()
    if isinstance(value, numbers.Number):
        # Digits show the sign of zero.
        return kind, repr(value)
    if isinstance(value, (tuple, list)):
        return kind, tuple(map(identity, value))
    if isinstance(value, dict):
        return kind, tuple((identity(k), identity(v)) for k, v in value.items())
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(identity, value))
    if kind is slice:
        return kind, identity((value.start, value.stop, value.step))
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and kind.__eq__ is not object.__eq__:
        return kind, tuple(identity(getattr(value, field.name)) for field in dataclasses.fields(value))
    hash(value)
    return kind, value
