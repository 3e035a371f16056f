"""Checks of numbers: at once, and while a function is compiled in every run of its program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.backend import is_array
from hograd.core.declare import elementwise
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import register
from hograd.core.tensor import Tensor

Check = Callable[[Any], Any]


def _kernel(x: Any, check: Check, allowed: Any) -> Any:
    check(x)
    return x


#: x itself, if `check` does not raise.
_checked = elementwise("checked", _kernel, [1], "x")


def checked(x: Tensor, check: Check, allowed: tuple[int, int, int] | None = None) -> Tensor:
    """`x`, with numbers that have been looked at, or will be in every run of the program that is being captured.

    Args:
        x: tensor; what is computed from the answer is computed only where the check lets it pass.
        check: function of an array, which raises where its numbers are not what they should be, and does nothing
            else: while a program is captured it sees other numbers, too. Inside `vmap` that is the whole batch.
        allowed: of whole numbers the least and the largest that `check` lets pass, and another one, for machine code.
    """
    value: Any = x
    while isinstance(value, Tensor):
        value = value.value
    if not is_array(value):
        return wrap(apply(_checked, (x,), {"check": check, "allowed": allowed}))
    check(value)
    return x


def within(x: Tensor, low: float, high: float, refused: Callable[[float, float], Exception]) -> Tensor:
    """`x`, all of whose numbers are checked to be from `low` to `high`.

    `refused`: the error, of the least and the largest number.
    """

    def check(array: Any) -> None:
        if array.size:
            least, largest = (float(f.reduce(array, axis=None)) for f in (np.minimum, np.maximum))
            if least < low or largest > high:
                raise refused(least, largest)

    whole = x.dtype.kind in "iu" and np.isfinite(low) and np.isfinite(high)
    return checked(x, check, (int(low), int(high), int(low)) if whole else None)


register("checked", checked, _kernel)
