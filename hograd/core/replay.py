"""Random draws made again, as a forward that is evaluated a second time needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from hograd.core.levels import state


class Random(NamedTuple):
    """The state of this thread's generator at one time, and the vmaps that its draws saw then."""

    state: Any
    visible: frozenset[int]


def random_state() -> Random:
    """The state of this thread's generator, which is made if there is none yet."""
    if state.generator is None:
        state.generator = np.random.default_rng()
    # A program that is being captured counts its draws.
    source = state.generator.bit_generator if state.trace is None else state.trace
    visible = frozenset([level.number for level, _, _ in state.stack if level.kind == "vmap"])
    return Random(source.state, visible)


@contextlib.contextmanager
def replay(random: Random) -> Iterator[None]:
    """Have this thread's generator draw as it did from that state on, and then go on from where it is.

    A vmap that was opened since, as `jacrev` does for its backward pass, does not touch what is drawn.
    """
    before = random_state().state
    hidden = [level for level, _, _ in state.stack if level.kind == "vmap" and level.number not in random.visible]
    source = state.generator.bit_generator if state.trace is None else state.trace
    source.state = random.state
    for level in hidden:
        level.kind = "loop"
    try:
        yield
    finally:
        source.state = before
        for level in hidden:
            level.kind = "vmap"
