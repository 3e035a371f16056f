"""Random draws made again, as an evaluation that is repeated needs them.

A draw is known by its place: the n-th one that an evaluation makes is the same draw whenever that evaluation is
repeated, in whatever way it is differentiated or mapped then. So while a call runs it is watched (`watched`), and what
its draws depend on is noted in a `Random`:

- the thread's generator, and of every generator that is drawn from, also one that the code brings along, the state
  before the first draw;
- which vmaps the draws see, since they make one draw for each element of some. A vmap is known by its origin: the
  derivative of a call that ran on whole batches opens that vmap anew, in each order, and it is the same one to draws;
- in a function that is being captured, where draws are inputs of its program, the place in the list of these.

`replay` puts all of that back for a while. Vmaps that have been opened since, as `jacrev` does for its backward pass,
do not touch what is drawn, and what was drawn since is not drawn again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from hograd.core.levels import Level, state


class Random:
    """What the draws of one evaluation depend on.

    Attributes:
        generator: the thread's when it began; None if there was none, nor is.
        thread: the one that it ran on.
        states: generators that it drew from, by identity, with their states before.
        visible: origins of the vmaps that its draws saw.
        place: in the draws of the function that is being captured, or None.
    """

    __slots__ = ("generator", "place", "states", "thread", "visible")

    def __init__(self) -> None:
        self.generator = state.generator
        self.thread = threading.get_ident()
        self.states: dict[int, tuple[Any, Any]] = {}
        self.visible = frozenset([level.origin for level in seen()])
        self.place = None if state.trace is None else state.trace.place


def seen() -> list[Level]:
    """The vmaps that draws see now, the outermost first."""
    # The derivative of a compiled function is captured with the draws of its forward, which saw those around it.
    outside = 0 if state.trace is None else state.trace.outer_level
    open_ = [level for level, _, _ in state.stack if level.kind == "vmap" and level.origin > outside]
    # Where one goes on within itself, as a rule within a backward pass does, it shows once.
    last = {level.origin: level for level in open_}
    return [level for level in open_ if last[level.origin] is level]


@contextlib.contextmanager
def hidden(chosen: Callable[[Level], bool]) -> Iterator[None]:
    """Have draws not see some vmaps that are open."""
    levels = [level for level, _, _ in state.stack if level.kind == "vmap" and chosen(level)]
    for level in levels:
        level.kind = "loop"
    try:
        yield
    finally:
        for level in levels:
            level.kind = "vmap"


def draws_from(generator: Any) -> None:
    """Note that a generator is about to be drawn from."""
    for random in state.watches:
        if id(generator) not in random.states:
            random.states[id(generator)] = generator, generator.bit_generator.state


def begins_with(generator: Any) -> None:
    """Note the thread's first generator, which is made when it is first used."""
    state.generator = generator
    for random in state.watches:
        random.generator = random.generator or generator


@contextlib.contextmanager
def watched() -> Iterator[Random]:
    """Note what the draws of an evaluation depend on."""
    random = Random()
    state.watches.append(random)
    try:
        yield random
    finally:
        state.watches.remove(random)


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """Have draws leave no trace: afterwards the same are made again."""
    with watched() as random:
        try:
            yield
        finally:
            restore(random)


def restore(random: Random) -> None:
    """Have all generators draw as when an evaluation began."""
    state.generator = random.generator
    for generator, before in random.states.values():
        generator.bit_generator.state = before
    if random.place is not None:
        state.trace.place = random.place


@contextlib.contextmanager
def replay(random: Random, *, again: bool = False) -> Iterator[None]:
    """Repeat the draws of an evaluation, and then go on from where all generators are.

    `again`: what is computed meanwhile has been computed before and was not kept; a program that is being captured
    computes it twice.
    """
    trace, watches, generator = state.trace, state.watches, state.generator
    scope, place = (0, None) if trace is None else (trace.scope, trace.place)
    now = [(drawn, drawn.bit_generator.state) for drawn, _ in random.states.values()]
    if trace is not None:
        trace.scope = next(trace.scopes) if again else scope
        trace.place = random.place or trace.constants_drawn()
    # What is drawn now has been drawn: an evaluation around it is not to take it for its own.
    state.watches = []
    own = random.thread == threading.get_ident()
    for drawn, before in random.states.values():
        if own or drawn is not random.generator:
            drawn.bit_generator.state = before
    state.generator = random.generator if own else _copy(random)
    try:
        with hidden(lambda level: level.origin not in random.visible):
            yield
    finally:
        state.generator, state.watches = generator, watches
        for drawn, after in now:
            if own or drawn is not random.generator:
                drawn.bit_generator.state = after
        if trace is not None:
            trace.scope, trace.place = scope, place


def _copy(random: Random) -> Any:
    """A generator that draws as that of another thread did, which goes on meanwhile."""
    if id(random.generator) not in random.states:
        return random.generator
    kind = type(random.generator.bit_generator)
    copy = type(random.generator)(kind(0))
    copy.bit_generator.state = random.states[id(random.generator)][1]
    return copy


def repeated() -> Callable[[], Any]:
    """A context for evaluations that all make the same draws: the first makes them, the others repeat them.

    >>> import hograd as ho
    >>> _ = ho.manual_seed(0)
    >>> draws = repeated()
    >>> with draws():
    ...     a = ho.rand()
    >>> with draws():
    ...     b = ho.rand()
    >>> bool(a == b), bool(a == ho.rand())
    (True, False)
    """
    first: list[Random] = []

    @contextlib.contextmanager
    def once() -> Iterator[None]:
        if first:
            with replay(first[0]):
                yield
        else:
            with watched() as random:
                yield
            first.append(random)

    return once
