"""What is open on this thread: grad mode, and the levels of the transforms that are running.

Each transform (`func.grad`, `jvp`, `vmap`) opens a level with a number larger than every one before it, so that
inner transforms lie above outer ones. Level 0 is the eager tape and is always open.
"""

from __future__ import annotations

import itertools
import sys
import threading
from functools import partial
from typing import Any

from hograd.core.restoring import Restoring, settings, temporarily

OFF = sys.maxsize

_numbers = itertools.count(1)


class Level(Restoring):
    """One running transform.

    `raw` holds, for a tape, as long as every value recorded on it is a plain array: its backward pass
    may then run on bare kernels. `has_leaves` tells that `requires_grad_` was called on it, so that not
    every node leads to an input of the transform. `size` and `randomness` belong to `vmap`; `origin` is the
    number of the level whose `vmap` this one goes on with, or its own, and `element` the number of the one that is
    computed now, where a vmap's elements are gone through.
    """

    __slots__ = ("element", "has_leaves", "kind", "number", "origin", "randomness", "raw", "size")

    def __init__(self, kind: str, size: int = 0, randomness: str = "error", origin: int = 0) -> None:
        self.number = next(_numbers)
        self.origin = origin or self.number
        self.kind = kind
        self.size = size
        self.randomness = randomness
        self.element: int | None = None
        self.raw = True
        self.has_leaves = False

    def __enter__(self) -> Level:
        stack, floor, base = state.stack, state.floor, state.base
        self.close = settings(
            [(state, "stack", stack), (state, "floor", floor), (state, "base", base), (state, "ending", state.ending)]
        )
        if self.kind == "tape":
            state.base = base = self.number if floor == OFF else base
            state.floor = base
        state.stack = [*stack, self]
        return self


class State(threading.local):
    """Grad mode, open levels and random generator of one thread.

    A tape of level k records iff k >= `floor`. Under `no_grad` the floor is `OFF`; a transform that is opened
    there records on its own level and above (`base`), but not on the levels that `no_grad` silenced. `generator` makes
    this thread's random draws; it is made when it is first used. `watches` are evaluations whose draws are being
    noted, and `place` is where draws come from: see `hograd.core.replay`. `trace` is the capture of a program that is
    running. `ending` is called where the innermost `no_grad` or `enable_grad` ends.
    """

    floor = 0
    base = 0
    visited = 0
    anomaly: Any = None
    trace: Any = None
    generator: Any = None
    ending: Any = dict
    place: Any = (None, 0, 0)

    def __init__(self) -> None:
        self.stack: list[Level] = []
        self.watches: list[Any] = []


state = State()


def level_of(number: int) -> Level | None:
    """The open level with this number, or None if it is closed (or the eager tape)."""
    for level in reversed(state.stack):
        if level.number == number:
            return level
    return None


def innermost() -> Level | None:
    """The level opened last, or None outside every transform."""
    return state.stack[-1] if state.stack else None


def tape_for_leaf(number: int | None) -> int:
    """The innermost open tape (below level `number`, if given), for a new leaf; 0 is the eager one."""
    for level in reversed(state.stack):
        if level.kind == "tape" and (number is None or level.number < number):
            level.has_leaves = True
            return level.number
    return 0


class set_grad_enabled(Restoring):
    """Context manager, decorator or plain call that turns recording on or off for this thread.

    Args:
        mode: whether operations are recorded.

    Inside `func.grad` it concerns the function being differentiated, as in PyTorch: `no_grad` around a transform
    does not stop the transform, `no_grad` inside its function makes that part a constant.

    It sets the mode when it is called. An exception from outside, such as Ctrl-C, that strikes after that and before
    a `with` has begun leaves the mode set; `no_grad` and `enable_grad` have no such moment.

    >>> import hograd as ho
    >>> x = ho.tensor(1.0, requires_grad=True)
    >>> with ho.set_grad_enabled(False):
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.before = state.floor
        self.close = partial(setattr, state, "floor", self.before)
        state.floor = state.base if self.mode else OFF

    def __enter__(self) -> None:
        state.floor = state.base if self.mode else OFF

    def __call__(self, function: Any) -> Any:
        state.floor = self.before
        return _decorate(function, lambda: set_grad_enabled(self.mode))


class _GradMode(Restoring):
    """A reusable, reentrant context manager and decorator for one setting of grad mode."""

    enabled: bool
    #: Each end belongs to the beginning that is innermost in its thread, whichever object it is of.
    close: Any = property(partial(getattr, state, "ending"))

    def __init__(self, function: Any = None) -> None:
        pass

    def __new__(cls, function: Any = None) -> Any:
        if function is not None:
            return _decorate(function, cls)
        return super().__new__(cls)

    def __enter__(self) -> None:
        state.ending = settings([(state, "floor", state.floor), (state, "ending", state.ending)])
        state.floor = state.base if self.enabled else OFF

    def __call__(self, function: Any) -> Any:
        return _decorate(function, type(self))

    def __reduce__(self) -> Any:
        return type(self), ()


class no_grad(_GradMode):
    """Context manager or decorator under which nothing is recorded.

    >>> import hograd as ho
    >>> x = ho.tensor([1.0], requires_grad=True)
    >>> with ho.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    enabled = False


class enable_grad(_GradMode):
    """Context manager or decorator under which operations are recorded again, inside `no_grad`.

    >>> import hograd as ho
    >>> x = ho.tensor([1.0], requires_grad=True)
    >>> with ho.no_grad(), ho.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    enabled = True


def is_grad_enabled() -> bool:
    """Whether operations are being recorded on this thread.

    >>> import hograd as ho
    >>> ho.is_grad_enabled()
    True
    """
    return state.floor != OFF


def _decorate(function: Any, context: Any) -> Any:
    import functools
    import inspect

    if inspect.isgeneratorfunction(function):
        # Each resumption runs under the mode, and what the caller does in between does not.
        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Any:
            running = function(*args, **kwargs)
            resume, value = running.send, None
            try:
                while True:
                    with context():
                        item = resume(value)
                    try:
                        resume, value = running.send, (yield item)
                    except GeneratorExit:
                        with context():
                            running.close()
                        raise
                    except BaseException as error:
                        resume, value = running.throw, error
            except StopIteration as stop:
                return stop.value

        return generator

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with context():
            return function(*args, **kwargs)

    return wrapper


def no_transforms() -> temporarily:
    """Run as if no transform were open and nothing captured: what is computed from arrays is no part of it."""
    nothing = [(state, "stack", []), (state, "floor", 0), (state, "base", 0), (state, "trace", None)]
    return temporarily(*nothing, (state, "place", State.place))
