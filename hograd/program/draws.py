"""Random draws of the steps of a loop: made for all steps before it, and taken by each step as slices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hograd.core.custom import has_level
from hograd.core.dispatch import bare, wrap
from hograd.core.levels import no_transforms, state
from hograd.core.primitive import ops
from hograd.core.replay import drawn, rewinding, seen
from hograd.core.restoring import silent
from hograd.core.traced import Traced, user_line
from hograd.program.capture import Trace, after, supplying, tracing
from hograd.program.closed import Inner, NotOneProgram

#: Whole numbers are kept as two parts, each of which a float64 holds exactly.
_HALF = 2**26


class Draw(NamedTuple):
    """One draw of a step: how it is made in each run, and what it gives."""

    again: Callable[[], Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def columns(self) -> int:
        """How many floats hold it."""
        return math.prod(self.shape) * (1 if self.dtype.kind == "f" else 2)


class _Recording(Inner):
    """Runs a step to see what it draws."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.recorded: list[Draw] = []

    def keep(self, generator: Any) -> Any:
        return self.parent.generators.get(id(generator)) or Trace.keep(self, generator)

    def new_draw(self, made: Callable[[], Any], again: Callable[[], Any], around: Any) -> Any:
        value = np.asarray(made())
        self.recorded.append(Draw(again, value.shape, value.dtype))
        return value[()]


def with_draws_ahead(
    function: Callable[..., list[Any]], examples: Sequence[Any], length: int
) -> tuple[Callable[..., list[Any]], Any]:
    """A step that takes its random numbers as one more slice, and the stack of these for all steps.

    They are drawn as without `compile`: step by step, and within a step in its order.

    Args:
        function: the step.
        examples: arrays like its arguments.
        length: number of steps.

    Raises:
        NotOneProgram: the elements of a `vmap` have draws of their own, which it makes draw by draw.
    """
    trace = state.trace
    if any(level.randomness != "same" for level in seen()):
        raise NotOneProgram("random numbers are drawn inside vmap")
    with silent(), rewinding(), tracing(_Recording(trace)) as recording:
        inputs = [recording.input(x, user_line()) for x in examples]
        function(*[Traced(x.value) for x in inputs])
        draws: list[Draw] = recording.recorded
        renewals = recording.renewals(state.watches[-1])
    for kept in recording.generators.values():
        # Those that each step makes stay out, too: nobody else will ask for them.
        trace.generators.setdefault(id(kept.given), kept)

    def again() -> Any:
        rows = [after(renewals, lambda: [draw.again() for draw in draws]) for _ in range(length)]
        if any(has_level(x) for row in rows for x in row):
            return ops.stack([_row(row) for row in rows])
        return wrap(np.stack([_row([bare(x) for x in row]) for row in rows]))

    ends = list(itertools.accumulate([draw.columns for draw in draws], initial=0))

    def step(*values: Any) -> list[Any]:
        *others, row = values
        row = wrap(row)
        taken = [_taken(row[a:b], draw) for a, b, draw in zip(ends, ends[1:], draws, strict=False)]
        with supplying([bare(x) for x in taken]):
            return function(*others)

    def made() -> Any:
        with no_transforms():
            return again().value

    return step, drawn(made, again)


def _row(values: Sequence[Any]) -> Any:
    """The draws of a step as one flat array of float64."""
    if not any(map(has_level, values)):
        parts = []
        for x in map(np.asarray, values):
            if x.dtype.kind == "f":
                parts.append(np.ravel(x).astype(np.float64))
            else:
                high = x.astype(np.int64) // _HALF
                parts += [np.ravel(high).astype(np.float64), np.ravel(x - high * _HALF).astype(np.float64)]
        return np.concatenate(parts)
    columns = []
    for x in map(wrap, values):
        if x.dtype.kind == "f":
            columns.append(ops.reshape(ops.astype(x, np.float64), (-1,)))
        else:
            high = ops.floor_divide(x, _HALF)
            columns += [ops.reshape(ops.astype(part, np.float64), (-1,)) for part in (high, x - high * _HALF)]
    return ops.concatenate(columns)


def _taken(row: Any, draw: Draw) -> Any:
    """A draw from its part of a row."""
    if draw.dtype.kind == "f":
        return ops.astype(ops.reshape(row, draw.shape), draw.dtype)
    count = math.prod(draw.shape)
    high, low = (ops.astype(part, draw.dtype) for part in (row[:count], row[count:]))
    return ops.reshape(high * _HALF + low, draw.shape)
