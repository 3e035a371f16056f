"""Functions captured within a function that is being captured: what they close over becomes an argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hograd.core.dispatch import wrap
from hograd.core.levels import state
from hograd.core.replay import rewinding
from hograd.core.restoring import silent
from hograd.core.tensor import Batched, Dual, Tensor
from hograd.core.traced import Traced, is_weak, user_line, with_weakness
from hograd.errors import CaptureError
from hograd.program.capture import Trace, tracing
from hograd.program.ir import Program


class Inner(Trace):
    """A program that is captured while another one is.

    Attributes:
        parent: the other one.
        known: for what came in from there through a closure, by its identity, the value here.
        found: what came in and was not known, as values of the parent, with an argument of this program for each.
    """

    def __init__(self, parent: Trace) -> None:
        super().__init__()
        self.parent = parent
        self.passes, self.fast_math = parent.passes, parent.fast_math
        self.mapped: dict[Any, Any] = {}
        self.found: list[tuple[Any, Any]] = []
        # Identities stay taken while their objects live.
        self.alive: list[Any] = []

    def new_draw(self, made: Callable[[], Any], again: Callable[[], Any], around: Any) -> Any:
        return random_step(made, again, around)

    def keep(self, generator: Any) -> Any:
        return self.parent.keep(generator)

    def check(self, args: Sequence[Any]) -> Sequence[Any]:
        return [self.local(arg) for arg in args]

    def local(self, value: Any) -> Any:
        """A value as it is here: what the parent knows becomes an argument."""
        if not isinstance(value, Tensor):
            return value
        if type(value) is Traced:
            return value if value.value.trace is self else self.enter(value, id(value.value))
        if type(value) in (Dual, Batched):
            if value.level < self.first_level:
                return self.enter(value, (id(value.value), value.level))
            inner = self.local(value.value)
            if type(value) is Batched:
                return value if inner is value.value else Batched(inner, value.level)
            tangent = self.local(value.tangent)
            return value if inner is value.value and tangent is value.tangent else Dual(inner, tangent, value.level)
        if value.node is not None and self.is_outside(value.node):
            return self.enter(value, id(value.node))
        inner = self.local(value.value)
        return value if inner is value.value else Tensor(inner, value.node, value.level)

    def enter(self, value: Any, key: Any) -> Any:
        if key not in self.mapped:
            if isinstance(self.parent, Inner):
                outer = self.parent.local(value)
            else:
                self.parent.check([value])
                outer = value
            self.alive.append(value)
            self.mapped[key] = with_weakness(self.input(example_of(outer), user_line()), is_weak(value))
            self.found.append((key, outer))
        return self.mapped[key]


class NotOneProgram(CaptureError):
    """A step that cannot be captured once for all; its loop is captured step by step instead."""


class RandomStep(NotOneProgram):
    """A step that draws random numbers by itself."""


def random_step(made: Callable[[], Any], again: Callable[[], Any], around: Any) -> Any:
    """What a draw comes to in a step that is to be captured for all."""
    raise RandomStep("random numbers are drawn")


def example_of(value: Any) -> Any:
    """An array like what a value shows."""
    while type(value) is not Traced and isinstance(value, Tensor) and value.value.shape == value.shape:
        value = value.value
    if type(value) is Traced:
        return value.value.example
    if isinstance(value, Tensor):
        return placeholder(value.shape, value.dtype)
    return value


def placeholder(shape: Any, dtype: Any) -> Any:
    """Numbers with which all can be computed: 0 is a class, and a position, wherever there is one."""
    return np.zeros(shape, dtype) if np.dtype(dtype).kind in "iu" else np.ones(shape, dtype)


class Closed(NamedTuple):
    """A function with its closure as further arguments.

    Attributes:
        function: of the arguments and then what it closed over.
        values: what it closed over.
        program: of one call.
        examples: of its answers.
    """

    function: Callable[..., list[Any]]
    values: list[Any]
    program: Program
    examples: list[Any]


def closed(function: Callable[..., Sequence[Any]], examples: Sequence[Any], name: str) -> Closed:
    """Capture a function of tensors on arrays, within the function that is being captured.

    Raises:
        CaptureError: it cannot be captured by itself.
    """
    parent = state.trace
    with silent(), rewinding(), tracing(Inner(parent)) as trace:
        inputs = [trace.input(x, user_line()) for x in examples]
        outputs = [trace.local(wrap(y)) for y in function(*[Traced(x.value) for x in inputs])]
        slots = [trace.output(y, name) for y in outputs]
        shown = [example_of(y) for y in outputs]
    entered = [trace.mapped[key] for key, _ in trace.found]
    keys = [key for key, _ in trace.found]
    # The arguments know their program: no circle is to keep the arrays that it was captured with.
    trace.mapped = {}
    alive = trace.alive

    def complete(*values: Any) -> list[Any]:
        if not keys:
            return list(function(*values))
        given = values[len(examples) :]
        here = state.trace
        before = here.mapped
        here.mapped = {**before, **dict(zip(keys, map(wrap, given), strict=True))}
        try:
            return [here.local(wrap(y)) for y in function(*values[: len(examples)])]
        finally:
            here.mapped = before
            assert alive is not None

    program = Program(
        inputs=tuple(x.value.number for x in [*inputs, *entered]),
        draws=(),
        constants=trace.constants,
        instructions=tuple(trace.instructions),
        outputs=tuple(slots),
        kinds=trace.kinds,
        fast_math=trace.fast_math,
    )
    return Closed(complete, [value for _, value in trace.found], program, shown)
