"""Random draws made again, as a forward that is evaluated a second time needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from hograd.core.levels import state


class Random(NamedTuple):
    """The state of this thread's generator at one time (None: there was none), and the vmaps that its draws saw."""

    state: Any
    visible: frozenset[int]


def random_state() -> Random:
    """The state of this thread's generator, and what its draws see."""
    source = _source()
    visible = frozenset([level.number for level, _, _ in state.stack if level.kind == "vmap"])
    return Random(None if source is None else source.state, visible)


def _source() -> Any:
    """What counts draws now; None while nothing has been drawn."""
    if state.trace is not None:
        # A program that is being captured counts its draws.
        return state.trace
    return None if state.generator is None else state.generator.bit_generator


@contextlib.contextmanager
def replay(random: Random, *, again: bool = False) -> Iterator[None]:
    """Have this thread's generator draw as it did from that state on, and then go on from where it is.

    A vmap that was opened since, as `jacrev` does for its backward pass, does not touch what is drawn. `again`: what is
    computed meanwhile has been computed before and was not kept; a program that is being captured computes it twice.
    """
    trace = state.trace if again else None
    scope = 0 if trace is None else trace.scope
    if trace is not None:
        trace.scope = next(trace.scopes)
    source = _source()
    before = None if source is None else source.state
    hidden = [level for level, _, _ in state.stack if level.kind == "vmap" and level.number not in random.visible]
    if source is not None:
        source.state = state.first if random.state is None and state.trace is None else random.state
    for level in hidden:
        level.kind = "loop"
    try:
        yield
    finally:
        if trace is not None:
            trace.scope = scope
        if source is not None:
            source.state = before
        for level in hidden:
            level.kind = "vmap"
