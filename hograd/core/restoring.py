"""Contexts that put things back even if Ctrl-C strikes at their end.

CPython looks for signals where a Python function begins and behind every call. An `__exit__` written in Python is
therefore interrupted before it has put anything back. What is here ends in one call in C instead, and begins with plain
assignments, which nothing interrupts.
"""

from __future__ import annotations

import contextvars
import io
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, starmap
from operator import call
from typing import Any

import numpy as np

Setting = tuple[Any, str, Any]
"""An object, the name of an attribute, and a value."""

# Of the contexts of the standard library, that of files has an end in C which calls a method of its object.
_Ending: Any = io.IOBase


def settings(*lists: Iterable[Setting]) -> Any:
    """A function in C that sets all attributes; lists may be read when it is called. It may be called once."""
    return partial(deque, starmap(setattr, chain(*lists)), 0)


def calling(function: Callable[[], None]) -> Iterable[Setting]:
    """No attributes, but a call of a function in Python: one that Ctrl-C may prevent."""
    return filter(None, map(call, [function]))


class Restoring(_Ending):
    """A context manager whose end calls the attribute `close`, which `__enter__` has set, and no Python.

    `__enter__` of a class sets `close` first. What it changes then it changes by plain assignments, at its end.
    """

    __slots__ = ("close",)

    close: Any
    closed = True  # no file is open when it is collected


class temporarily(Restoring):
    """Attributes have other values for a while.

    Args:
        changes: which, and the values.
        given: what `as` gives.
        later: further attributes that are set at the end, read then.

    >>> class Thing:
    ...     size = 1
    >>> with temporarily((Thing, "size", 2)):
    ...     Thing.size
    2
    >>> Thing.size
    1
    """

    __slots__ = ("changes", "given", "later")

    def __init__(self, *changes: Setting, given: Any = None, later: Iterable[Setting] = ()) -> None:
        self.changes = changes
        self.given = given
        self.later = later

    def __enter__(self) -> Any:
        self.close = settings([(thing, name, getattr(thing, name)) for thing, name, _ in self.changes], self.later)
        try:
            settings(self.changes)()
        except BaseException:
            self.close()
            raise
        return self.given


_context = contextvars.Context()
_context.run(np.seterr, all="ignore")
# Where NumPy keeps what it does about floating-point errors.
((_ERRORS, _IGNORED),) = _context.items()


class silent(Restoring):
    """`np.errstate(all="ignore")`, with an end that nothing interrupts.

    >>> import numpy as np
    >>> with silent():
    ...     float(np.float64(1) / np.float64(0))
    inf
    """

    __slots__ = ()

    def __enter__(self) -> None:
        before = _ERRORS.get()
        try:
            self.close = partial(_ERRORS.reset, _ERRORS.set(_IGNORED))
        except BaseException:
            _ERRORS.set(before)
            raise
