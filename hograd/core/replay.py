"""Random draws made again, as an evaluation that is repeated needs them.

A draw is known by its place: the n-th one that an evaluation makes is the same draw whenever that evaluation is
repeated, in whatever way it is differentiated or mapped then. So while a call runs it is watched (`watched`), and what
its draws depend on is noted in a `Random`:

- the thread's generator, and of every generator that is drawn from, also one that the code brings along, the state
  before the first draw;
- which vmaps the draws see, since they make one draw for each element of some. A vmap is known by its origin: the
  derivative of a call that ran on whole batches opens that vmap anew, in each order, and it is the same one to draws;
- where numbers are not made but taken from a list (`Draws`), the place in it. A function that is being captured takes
  them from the inputs of its program; an equation, of which all evaluations see the same draws, from its arguments.

`replay` puts all of that back for a while. Vmaps that have been opened since, as `jacrev` does for its backward pass,
do not touch what is drawn, and what was drawn since is not drawn again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, pairwise
from typing import Any

from hograd.core.dispatch import wrap
from hograd.core.levels import Level, state
from hograd.core.primitive import ops
from hograd.core.restoring import Setting, settings, temporarily
from hograd.core.tensor import Batched, Tensor
from hograd.core.traced import Traced
from hograd.errors import ArgumentError


class Random:
    """What the draws of one evaluation depend on.

    Attributes:
        generator: the thread's when it began; None if there was none, nor is.
        states: of the generators that it drew from, by the identity of what counts their bits: that, and its state
            before.
        visible: origins of the vmaps that its draws saw.
        place: where draws came from.
    """

    __slots__ = ("generator", "place", "states", "visible")

    def __init__(self) -> None:
        self.generator: Any = state.generator
        self.states: dict[int, tuple[Any, str, Any]] = {}
        self.visible = frozenset([level.origin for level in seen()])
        self.place = state.place


class Draws:
    """Numbers in the order in which they are drawn: `values`, and beyond these what `new` makes of a draw.

    Attributes:
        new: function of how a draw is made, how it is made again in each run of a program, and the vmaps whose batch
            axes are part of the value.
        around: which vmaps these are: those up to this level.
    """

    __slots__ = ("around", "new", "values")

    def __init__(self, new: Callable[[Any, Any, Any], Any], values: Sequence[Any] = (), around: int = 0) -> None:
        self.new = new
        self.values = list(values)
        self.around = around


def drawn(made: Callable[[], Any], again: Callable[[], Any], different: Sequence[Level] = ()) -> Any:
    """Random numbers for the elements of some vmaps: what is `made` now, or what is in their place.

    `again` makes them in each run of a program.
    """
    source, position, outer = state.place
    for before, after in pairwise(different):
        if before.origin > after.origin:
            # The one around has been opened anew, within the other one.
            raise DrawnInside(before.number)
    if source is None:
        value = made()
        for level in different:
            value = Batched(value, level.number)
        return value
    around = [level for level in different if level.origin <= source.around]
    if position == len(source.values):
        source.values.append(_on(source.new(made, again, around), source.around))
    state.place = source, position + 1, outer
    value = _on(source.values[position], sys.maxsize)
    for level in different:
        if level not in around:
            value = Batched(value, level.number)
    return value


def _on(value: Any, most: int) -> Any:
    """A draw, a constant, of vmaps that may have been opened anew: on the latest levels of these up to a number."""
    if type(value) is Traced or not isinstance(value, Tensor):
        return value
    if type(value) is not Batched:
        return _on(value.value, most)
    levels = state.stack
    origin = next((level.origin for level in levels if level.number == value.level), value.level)
    latest = next((level for level in reversed(levels) if level.origin == origin and level.number <= most), None)
    if latest is not None and latest.element is not None:
        return _on(ops.getitem(wrap(value.value), latest.element), most)
    return Batched(_on(value.value, most), value.level if latest is None else latest.number)


def drawing(source: Draws) -> temporarily:
    """Take random draws from elsewhere, which vmaps that are open have no part in."""
    return temporarily((state, "place", (source, 0, Level("none").number)))


def collected() -> temporarily:
    """The random draws that are made meanwhile, as values of the levels that are open."""
    # Where they come from, which is a place further with each of them.
    outer = [state.place]

    def new(made: Any, again: Any, around: Any) -> Any:
        with temporarily((state, "place", outer[0])):
            value = drawn(made, again, around)
            outer[0] = state.place
        return value

    source = Draws(new, around=Level("none").number)
    place = source, 0, outer[0][2]
    return temporarily((state, "place", place), given=source.values, later=zip([state], ["place"], outer, strict=True))


class DrawnInside(Exception):
    """A call of values that a vmap does not know draws random numbers for each of its elements."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.level = level


def no_more(made: Any, again: Any, around: Any) -> Any:
    """What a draw comes to where all that may be drawn is given."""
    raise ArgumentError(
        "a function drew more random numbers when it was evaluated again for its derivative: what it draws must depend "
        "on the shapes of its arguments alone."
    )


def seen() -> list[Level]:
    """The vmaps that draws see now, the outermost first."""
    # The derivative of a compiled function is captured with the draws of its forward, which saw those around it.
    outside = state.place[2]
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
    source, _, outer = random.place
    # No place is taken in a list.
    place = source and Draws(lambda made, again, around: made()), 0, outer
    return temporarily((state, "watches", [*state.watches, random]), (state, "place", place), later=beginnings(random))


def rewinding() -> temporarily:
    """Have all generators draw as before: around what does so too, in case that Ctrl-C strikes while NumPy does it."""
    random = Random()
    return temporarily((state, "watches", [*state.watches, random]), later=beginnings(random))


def beginnings(random: Random) -> Iterable[Setting]:
    """What has all generators draw as when an evaluation began; read when it has ended."""
    generator = zip([state], ["generator"], map(getattr, [random], ["generator"]), strict=True)
    return chain(generator, chain.from_iterable(map(dict.values, [random.states])))


def restore(random: Random) -> None:
    """Have all generators draw as when an evaluation began."""
    settings(beginnings(random))()
    state.place = random.place


def replay(random: Random, *, again: bool = False) -> temporarily:
    """Repeat the draws of an evaluation, and then go on from where all generators are.

    `again`: what is computed meanwhile has been computed before and was not kept; a program that is being captured
    computes it twice.
    """
    own = None if random.generator is None else random.generator.bit_generator
    changes: list[Setting] = [
        *[setting for setting in random.states.values() if setting[0] is not own],
        (state, "generator", _copy(random)),
        # What is drawn now has been drawn: an evaluation around it is not to take it for its own.
        (state, "watches", []),
        (state, "place", random.place),
        *hidden(lambda level: level.origin not in random.visible),
    ]
    trace = state.trace
    if trace is not None:
        changes.append((trace, "scope", next(trace.scopes) if again else trace.scope))
    return temporarily(*changes)


def _copy(random: Random) -> Any:
    """A generator that draws as the thread's did, which may be another thread's and goes on from where it is."""
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
