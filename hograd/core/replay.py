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

import threading
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from hograd.core.levels import Level, state
from hograd.core.restoring import Setting, settings, temporarily


class Random:
    """What the draws of one evaluation depend on.

    Attributes:
        generator: the thread's when it began; None if there was none, nor is.
        thread: the one that it ran on.
        states: of the generators that it drew from, by the identity of what counts their bits: that, and its state
            before.
        visible: origins of the vmaps that its draws saw.
        place: in the draws of the function that is being captured, or None.
    """

    __slots__ = ("generator", "place", "states", "thread", "visible")

    def __init__(self) -> None:
        self.generator: Any = state.generator
        self.thread = threading.get_ident()
        self.states: dict[int, tuple[Any, str, Any]] = {}
        self.visible = frozenset([level.origin for level in seen()])
        self.place = None if state.trace is None else state.trace.place


def seen() -> list[Level]:
    """The vmaps that draws see now, the outermost first."""
    # The derivative of a compiled function is captured with the draws of its forward, which saw those around it.
    outside = 0 if state.trace is None else state.trace.outer_level
    open_ = [level for level in state.stack if level.kind == "vmap" and level.origin > outside]
    # Where one goes on within itself, as a rule within a backward pass does, it shows once.
    last = {level.origin: level for level in open_}
    return [level for level in open_ if last[level.origin] is level]


def hidden(chosen: Callable[[Level], bool]) -> list[Setting]:
    """What has draws not see some vmaps that are open."""
    return [(level, "kind", "loop") for level in state.stack if level.kind == "vmap" and chosen(level)]


def draws_from(generator: Any) -> None:
    """Note that a generator is about to be drawn from."""
    bits = generator.bit_generator
    for random in state.watches:
        if id(bits) not in random.states:
            random.states[id(bits)] = bits, "state", bits.state


def begins_with(generator: Any) -> None:
    """Note the thread's first generator, which is made when it is first used."""
    state.generator = generator
    for random in state.watches:
        random.generator = random.generator or generator


def watched() -> temporarily:
    """Note what the draws of an evaluation depend on, in a `Random`."""
    random = Random()
    return temporarily((state, "watches", [*state.watches, random]), given=random)


def undone() -> temporarily:
    """Have draws leave no trace: afterwards the same are made again."""
    random = Random()
    changes: list[Setting] = [(state, "watches", [*state.watches, random])]
    if random.place is not None:
        changes.append((state.trace, "place", random.place))
    return temporarily(*changes, later=beginnings(random))


def beginnings(random: Random) -> Iterable[Setting]:
    """What has all generators draw as when an evaluation began; read when it has ended."""
    generator = zip([state], ["generator"], map(getattr, [random], ["generator"]), strict=True)
    return chain(generator, chain.from_iterable(map(dict.values, [random.states])))


def restore(random: Random) -> None:
    """Have all generators draw as when an evaluation began."""
    settings(beginnings(random))()
    if random.place is not None:
        state.trace.place = random.place


def replay(random: Random, *, again: bool = False) -> temporarily:
    """Repeat the draws of an evaluation, and then go on from where all generators are.

    `again`: what is computed meanwhile has been computed before and was not kept; a program that is being captured
    computes it twice.
    """
    own = random.thread == threading.get_ident()
    kept = None if own or random.generator is None else random.generator.bit_generator
    changes: list[Setting] = [
        *[setting for setting in random.states.values() if setting[0] is not kept],
        (state, "generator", random.generator if own else _copy(random)),
        # What is drawn now has been drawn: an evaluation around it is not to take it for its own.
        (state, "watches", []),
        *hidden(lambda level: level.origin not in random.visible),
    ]
    trace = state.trace
    if trace is not None:
        changes.append((trace, "scope", next(trace.scopes) if again else trace.scope))
        changes.append((trace, "place", random.place or trace.constants_drawn()))
    return temporarily(*changes)


def _copy(random: Random) -> Any:
    """A generator that draws as that of another thread did, which goes on meanwhile."""
    if random.generator is None or id(random.generator.bit_generator) not in random.states:
        return random.generator
    bits, _, before = random.states[id(random.generator.bit_generator)]
    copy = type(random.generator)(type(bits)(0))
    copy.bit_generator.state = before
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

    def once() -> temporarily:
        if first:
            return replay(first[0])
        watching = watched()
        first.append(watching.given)
        return watching

    return once
